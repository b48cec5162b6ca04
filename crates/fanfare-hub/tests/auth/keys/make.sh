#!/bin/sh
# Makes the keys of these tests and the tokens that OpenSSL signs with them, in this folder.
# They are public: never use them for anything else.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -quiet -out "$1.private.pem" -algorithm "$2" ${3:+-pkeyopt "$3"}; }
public() { openssl pkey -in "$1.private.pem" -pubout -out "$1.public.pem"; }

for who in "" stranger-; do
    key "${who}rsa" RSA rsa_keygen_bits:2048
    key "${who}p256" EC ec_paramgen_curve:P-256
    key "${who}p384" EC ec_paramgen_curve:P-384
    key "${who}ed25519" ED25519
done
for name in rsa p256 p384 ed25519; do public "$name"; done

# What a hub refuses, or an operator has to convert.
key p521 EC ec_paramgen_curve:P-521
key rsa-1024 RSA rsa_keygen_bits:1024
for name in p521 rsa-1024; do public "$name"; rm "$name.private.pem"; done
openssl rsa -in rsa.private.pem -traditional -out rsa-pkcs1.private.pem
openssl rsa -in rsa.private.pem -RSAPublicKey_out -out rsa-pkcs1.public.pem
openssl ec -in p256.private.pem -out p256-sec1.private.pem
openssl pkcs8 -topk8 -in p256.private.pem -passout pass:test -out p256-encrypted.private.pem
openssl req -x509 -key p256.private.pem -subj /CN=test -days 1 -out p256.certificate.pem
printf '%s\n' 'test-only secret of sixty-four bytes, which is in a public folder' >secret.txt

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
der_tail() { openssl pkey -pubin -in "$1.public.pem" -outform DER | tail -c "$2"; }
ec() {
    printf '{"kty":"EC","kid":"%s","crv":"%s","alg":"%s","x":"%s","y":"%s"}' "$1" "$2" "$3" \
        "$(der_tail "$1" $(($4 * 2)) | head -c "$4" | base64url)" "$(der_tail "$1" "$4" | base64url)"
}
modulus=$(openssl rsa -pubin -in rsa.public.pem -modulus -noout | cut -d= -f2 | xxd -r -p | base64url)
{
    printf '{"keys":[\n'
    printf '{"kty":"RSA","kid":"rsa","use":"sig","n":"%s","e":"AQAB"},\n' "$modulus"
    printf '%s,\n%s,\n' "$(ec p256 P-256 ES256 32)" "$(ec p384 P-384 ES384 48)"
    printf '{"kty":"OKP","kid":"ed25519","crv":"Ed25519","alg":"EdDSA","x":"%s"}\n' \
        "$(der_tail ed25519 32 | base64url)"
    printf ']}\n'
} >jwks.json

claims='{"sub":"openssl","exp":2000000000,"fanfare":{"subscribe":["news/*"],"publish":["chat"]}}'
sha() { echo "-sha${1#??}"; }
# ECDSA signatures are two numbers in DER; a token has them one behind the other, with leading zeros.
numbers() {
    openssl asn1parse -inform DER -in "$work/der" | sed -n 's/.*INTEGER *://p' | while read -r hex; do
        printf '%*s' "$1" "$hex" | tr ' ' 0
    done | xxd -r -p
}
sign() {
    case $1 in
    HS*) openssl dgst "$(sha "$1")" -mac HMAC -macopt "hexkey:$(tr -d '\n' <secret.txt | xxd -p | tr -d '\n')" -binary ;;
    RS*) openssl dgst "$(sha "$1")" -sign rsa.private.pem -binary ;;
    PS*) openssl dgst "$(sha "$1")" -sign rsa.private.pem -sigopt rsa_padding_mode:pss \
        -sigopt rsa_pss_saltlen:digest -binary ;;
    ES256) openssl dgst -sha256 -sign p256.private.pem >"$work/der" && numbers 64 ;;
    ES384) openssl dgst -sha384 -sign p384.private.pem >"$work/der" && numbers 96 ;;
    EdDSA) cat >"$work/message" && openssl pkeyutl -sign -rawin -inkey ed25519.private.pem -in "$work/message" ;;
    esac
}
for alg in HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA; do
    message=$(printf '{"alg":"%s","typ":"JWT"}' "$alg" | base64url).$(printf %s "$claims" | base64url)
    echo "$alg $message.$(printf %s "$message" | sign "$alg" | base64url)"
done >tokens.txt
