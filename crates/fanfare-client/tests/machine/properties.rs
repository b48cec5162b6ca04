use fanfare_client::Policy;
use proptest::prelude::*;

use crate::play::{Input, play};

fn any_input() -> impl Strategy<Value = Input> {
    let status = prop_oneof![4 => Just(200_u16), 1 => Just(503), 1 => Just(204), 2 => Just(302)];
    let location = prop::option::of(prop::sample::select(vec!["/a", "http://b/", "", "x:y"]));
    let piece = prop::sample::select(vec![
        "data: a\n\n",
        "data: b",
        "\n",
        "\r",
        "id: 1\n",
        "id: ü\n\n",
        "retry: 3\n",
        ":c\n",
        "\u{feff}",
        "x",
    ]);
    let bytes = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![
        3 => (status, prop::bool::weighted(0.8), location).prop_map(
            |(status, is_stream, location)| Input::Answer {
                status,
                is_stream,
                location: location.map(str::to_owned),
            }
        ),
        6 => bytes.prop_map(Input::Bytes),
        2 => Just(Input::End),
        1 => Just(Input::Fail),
        3 => (0..5000_u64).prop_map(Input::Pass),
        1 => Just(Input::Reconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_inputs_in_any_order_do_no_harm(
        inputs in prop::collection::vec(any_input(), 0..60),
        is_resilient in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let policy = if is_resilient { Policy::resilient() } else { Policy::standard() };
        play(inputs, policy, seed);
    }
}
