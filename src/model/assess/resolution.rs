//! Messages about what a link's selector found: nothing, or more than may be wired.

use crate::model::declaration::{Limit, MAX_EDGES_OF_CONSUMER, MAX_EDGES_OF_PROVIDER, MAX_FOUND, Resolution};
use crate::model::labels::shown;
use crate::model::workload::{COMPOSE_NUMBER, Selector};

/// Why the selector found nothing, and what to do.
pub fn not_found(selector: &Selector, resolution: &Resolution) -> String {
    let nothing = format!("no container or service fits {selector}");
    match (&resolution.stranger, &resolution.pretender) {
        (Some(stranger), _) => format!(
            "{selector} is a service of this consumer's compose project, and has no container now; the container {} \
             is none of it and is not taken in its place. Where that one is meant, give it a label of its own and \
             link to [KEY=VALUE]",
            shown(stranger)
        ),
        (None, Some(pretender)) => format!(
            "{nothing}: {} has the labels of that service, and no label {COMPOSE_NUMBER}, which every replica that \
             Compose makes has; add that label, or link to the container by its name",
            shown(pretender)
        ),
        (None, None) => nothing,
    }
}

/// Containers that a limit leaves out, and what to do about it.
pub struct LeftOut {
    /// How many, and by which limit.
    pub words: String,
    /// The way out.
    pub advice: String,
}

/// The selected containers that a limit leaves out; `None` where none is left out.
pub fn left_out(resolution: &Resolution, prefix: &str) -> Option<LeftOut> {
    let (left_out, limit) = resolution.left_out?;
    let fewer = "declare fewer links, or selectors that fit fewer containers";
    let (why, advice) = match limit {
        Limit::Found => {
            (format!("the links of one container find at most {MAX_FOUND} containers"), fewer.to_owned())
        }
        Limit::OfConsumer => {
            (format!("one workload links to at most {MAX_EDGES_OF_CONSUMER} others"), fewer.to_owned())
        }
        Limit::OfProvider => (
            format!("at most {MAX_EDGES_OF_PROVIDER} workloads link to one over networks of their own"),
            format!(
                "label the provider {prefix}topology=shared, which has no such limit, let its label {prefix}accept \
                 name those that it is there for, or remove stopped containers that link to it"
            ),
        ),
    };
    let words = format!("{left_out} of {} containers are left out: {why}", resolution.found);
    Some(LeftOut { words, advice })
}
