//! What a refusal says besides its words.

/// Why a request is refused: those of OpenAI's codes that its clients go by. All others are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The model does not take this field.
    UnsupportedParameter,
    /// The model does not take this field's value.
    UnsupportedValue,
    /// The server does not know this field.
    UnknownParameter,
    /// The field's value is none that it may have.
    InvalidValue,
    /// The field's value is of another type than it must be.
    InvalidType,
    /// The conversation is longer than the model's context.
    TooLong,
}

impl Code {
    pub(crate) const ALL: [Self; 6] = [
        Self::UnsupportedParameter,
        Self::UnsupportedValue,
        Self::UnknownParameter,
        Self::InvalidValue,
        Self::InvalidType,
        Self::TooLong,
    ];

    /// OpenAI's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::UnsupportedValue => "unsupported_value",
            Self::UnknownParameter => "unknown_parameter",
            Self::InvalidValue => "invalid_value",
            Self::InvalidType => "invalid_type",
            Self::TooLong => "context_length_exceeded",
        }
    }

    /// Whether another model might take the request as it is.
    pub(crate) const fn concerns_model(self) -> bool {
        match self {
            Self::UnsupportedParameter | Self::UnsupportedValue | Self::UnknownParameter => true,
            Self::InvalidValue | Self::InvalidType | Self::TooLong => false,
        }
    }
}

/// What a refusal says besides its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Why.
    pub code: Option<Code>,
    /// The field that is wrong, as the server names it, in at most 100 characters on one line.
    pub param: Option<String>,
}
