//! stub
/// a
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// a
    Pass {
        /// a
        listening: Option<bool>,
    },
    /// a
    Fail(FailReason),
    /// a
    Inconclusive(InconclusiveReason),
}
/// a
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailReason {
    /// a
    Refused,
}
impl FailReason {
    /// a
    pub const ALL: [Self; 1] = [Self::Refused];
    /// a
    pub fn as_str(self) -> &'static str {
        "Refused"
    }
}
/// a
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InconclusiveReason {
    /// a
    ContainerPaused,
}
impl InconclusiveReason {
    /// a
    pub const ALL: [Self; 1] = [Self::ContainerPaused];
    /// a
    pub fn as_str(self) -> &'static str {
        "ContainerPaused"
    }
}
