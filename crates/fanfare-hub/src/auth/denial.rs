use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use thiserror::Error;

/// Why a request is not let through, in words for whoever sent it.
///
/// It never holds the token, or anything that the token holds.
///
/// ```
/// use fanfare_hub::{TopicName, auth::{Identity, Rights}};
///
/// let nobody = Identity::anonymous(Rights::none());
/// let denial = nobody.check_publish(&TopicName::new("news")?).unwrap_err();
/// assert_eq!(denial.status(), 401);
/// assert_eq!(denial.title(), "A token is needed");
/// assert_eq!(denial.www_authenticate().unwrap(), r#"Bearer realm="fanfare""#);
/// # Ok::<(), fanfare_hub::TopicError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Denial {
    reason: Reason,
    detail: Cow<'static, str>,
}

/// What kind of [`Denial`] it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Two tokens that differ were sent.
    Ambiguous,
    /// The right is not everybody's, and no token was sent.
    Anonymous,
    /// The token is none, or not one for this hub.
    Invalid,
    /// The token was one.
    Expired,
    /// The token will be one.
    Early,
    /// The token does not give the right.
    Forbidden,
    /// The cookie came with a request of another site.
    Origin,
    /// The token's key may be among those that the hub could not fetch yet.
    Unready,
}

impl Reason {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Ambiguous,
        Self::Anonymous,
        Self::Invalid,
        Self::Expired,
        Self::Early,
        Self::Forbidden,
        Self::Origin,
        Self::Unready,
    ];

    /// A word for it, as a metric's label has it.
    ///
    /// ```
    /// assert_eq!(fanfare_hub::auth::Reason::Expired.as_str(), "expired");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Anonymous => "anonymous",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Forbidden => "forbidden",
            Self::Origin => "origin",
            Self::Unready => "unready",
        }
    }
}

impl Denial {
    pub(super) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(super) fn expired() -> Self {
        Self::new(Reason::Expired, "The token has expired (`exp`): get a new one.")
    }

    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::Invalid, detail)
    }

    /// What kind of denial it is.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The status of the response: 400, 401, 403 or 503.
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Ambiguous => StatusCode::BAD_REQUEST,
            Reason::Anonymous | Reason::Invalid | Reason::Expired | Reason::Early => {
                StatusCode::UNAUTHORIZED
            }
            Reason::Forbidden | Reason::Origin => StatusCode::FORBIDDEN,
            Reason::Unready => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What happened: the same words for all denials of a kind.
    pub fn title(&self) -> &'static str {
        match self.reason {
            Reason::Ambiguous => "Two tokens were sent",
            Reason::Anonymous => "A token is needed",
            Reason::Invalid => "The token is not valid",
            Reason::Expired => "The token has expired",
            Reason::Early => "The token is not valid yet",
            Reason::Forbidden => "The token does not give this right",
            Reason::Origin => "The request comes from another site",
            Reason::Unready => "The token cannot be verified yet",
        }
    }

    /// What to do about it.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The response's header `WWW-Authenticate`, in the words of RFC 6750.
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        let value = match self.reason {
            Reason::Ambiguous => {
                r#"Bearer realm="fanfare", error="invalid_request", error_description="two tokens were sent""#
            }
            Reason::Anonymous => r#"Bearer realm="fanfare""#,
            Reason::Invalid => {
                r#"Bearer realm="fanfare", error="invalid_token", error_description="the token is not valid""#
            }
            Reason::Expired => {
                r#"Bearer realm="fanfare", error="invalid_token", error_description="the token has expired""#
            }
            Reason::Early => {
                r#"Bearer realm="fanfare", error="invalid_token", error_description="the token is not valid yet""#
            }
            Reason::Forbidden => {
                r#"Bearer realm="fanfare", error="insufficient_scope", error_description="the token does not give this right""#
            }
            Reason::Origin | Reason::Unready => return None,
        };
        Some(HeaderValue::from_static(value))
    }
}
