//! Names with every character, and of every length, that the engine takes.

use tieline::model::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE, MAX_COMPOSE_NAME_BYTES};

use super::surfaces::assert_all_plain;
use crate::engine::stage::{IMAGE, Stage};

/// The short name that makes a whole name of `length` on this stage.
fn long(stage: &Stage, first: char, length: usize) -> String {
    String::from(first).repeat(length - stage.name("").len())
}

#[test]
fn names_of_every_length_and_character_are_linked_and_shown() {
    let stage = Stage::new();
    let shorts: Vec<String> = [63, 64, 300]
        .into_iter()
        .map(|length| long(&stage, 'a', length))
        // The engine takes names that no resolver does: with an empty part, with a dot at the end.
        .chain(["Az09_.-", "-..__", "x."].map(str::to_owned))
        .collect();
    let exchange = |consumer: &str, provider: &str| {
        let target = format!("{}:80", stage.name(provider));
        let link = format!("link.{}-80.handshake", stage.name(provider));
        stage.run(consumer, &[("link", &target), (&link, "exchange")]);
    };
    for short in &shorts {
        stage.run(short, &[]);
    }
    for (n, short) in shorts.iter().enumerate() {
        exchange(&format!("{}{n}", long(&stage, 'c', 290)), short);
    }
    for (n, short) in shorts.iter().enumerate() {
        let consumer = format!("{}{n}", long(&stage, 'c', 290));
        let link = stage.await_state(&consumer, &format!("{}-80", stage.name(short)), "Ready");
        assert_eq!(link["paths"][0]["provider_container"], stage.name(short).as_str());
    }
    assert_all_plain(&stage);
}

#[test]
fn two_projects_with_equal_service_names_are_linked_each_inside_its_own() {
    let stage = Stage::new();
    // As long as is believed, and alike but for the last character.
    let project = |last: char| {
        let long = format!("{}{}", stage.id, "-_.9".repeat(MAX_COMPOSE_NAME_BYTES));
        format!("{}{last}", &long[..MAX_COMPOSE_NAME_BYTES - 1])
    };
    let service = "S_v.c-".repeat(50);
    for last in ['x', 'y'] {
        let run = |short: &str, service: &str, labels: &[(&str, &str)]| {
            let flags = [
                "--label",
                &format!("{COMPOSE_PROJECT}={}", project(last)),
                "--label",
                &format!("{COMPOSE_SERVICE}={service}"),
                "--label",
                &format!("{COMPOSE_NUMBER}=1"),
            ];
            stage.run_with(&format!("{short}-{last}"), labels, &flags, IMAGE, &["sleep", "100000"]);
        };
        run("db", &service, &[]);
        let target = format!("{service}:1");
        run("web", "web", &[("link.own", &target), ("link.own.handshake", "exchange")]);
    }
    for last in ['x', 'y'] {
        let consumer = format!("{}/web", project(last));
        let own = || {
            let links = stage.links();
            links.into_iter().find(|link| link["consumer"] == consumer.as_str() && link["name"] == "own")
        };
        stage.eventually("the link is proven", || own().is_some_and(|link| link["state"] == "Ready"));
        let link = own().unwrap();
        assert_eq!(link["provider"], format!("{}/{service}", project(last)).as_str());
        let paths = link["paths"].as_array().unwrap();
        assert_eq!(paths.len(), 1);
        assert_eq!(paths[0]["provider_container"], stage.name(&format!("db-{last}")).as_str());
    }
    let members =
        |last: char| (stage.attachments(&format!("web-{last}")), stage.attachments(&format!("db-{last}")));
    let ((web_x, db_x), (web_y, db_y)) = (members('x'), members('y'));
    assert_eq!((web_x.len(), web_y.len()), (1, 1));
    assert_eq!((&web_x, &web_y), (&db_x, &db_y));
    assert_ne!(web_x, web_y, "the two projects share a network");
    assert_all_plain(&stage);
}
