//! Names and values that nobody should give: what anybody may write into a label neither runs, nor
//! reaches a terminal, nor spoils more than itself.

mod hostile;
mod limits;
mod surfaces;
