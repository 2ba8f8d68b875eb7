//! The guide: every command of it is run.

use std::path::Path;
use std::process::Command;

use crate::lab::{Lab, trained};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");

/// The commands of a page: what stands in its blocks of `sh`.
fn commands(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(GUIDE).join(page)).unwrap();
    let mut commands = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match line {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            line if is_inside => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

/// Make the experiments that a page has begun shorter: that they learn something is tested elsewhere.
fn shorten(lab: &Lab) {
    for entry in std::fs::read_dir(lab.path("")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let short = text
                .replace("steps = 150", "steps = 12")
                .replace("every = 15", "every = 6");
            std::fs::write(&path, short).unwrap();
        }
    }
}

#[test]
fn every_command_of_the_guide_works() {
    let lab = Lab::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["messages.csv", "new.csv", "stories.jsonl"] {
        let example = sources.join("datasets/examples").join(name);
        std::fs::copy(example, lab.path(name)).unwrap();
    }
    std::fs::write(lab.path("texts.txt"), "text: Anna likes soup.\n").unwrap();
    std::os::unix::fs::symlink(sources.join("configs"), lab.path("configs")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_fpt"))
        .parent()
        .unwrap()
        .to_owned();
    let path = std::env::var("PATH").unwrap();
    for page in [
        "own-data.md",
        "scale-model.md",
        "cluster.md",
        "schedules.md",
        "peft.md",
        "gpu.md",
    ] {
        let commands = commands(page);
        assert!(commands.len() > 1, "{page}");
        for command in commands {
            let output = Command::new("sh")
                .args(["-c", &command])
                .current_dir(lab.path(""))
                .env("PATH", format!("{}:{path}", programs.display()))
                .env("XDG_CACHE_HOME", lab.path("user-cache"))
                .env("HF_HUB_OFFLINE", "1")
                .output()
                .unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}: {command}\n{message}");
            shorten(&lab);
        }
    }
    let answers = std::fs::read_to_string(lab.path("answers.jsonl")).unwrap();
    assert_eq!(answers.lines().count(), 8);
}

#[test]
fn the_schedule_of_the_readme_works_as_printed() {
    let readme = Path::new(GUIDE).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("```toml\n# my.toml").unwrap();
    let (printed, _) = rest.split_once("```").unwrap();
    let lab = Lab::new();
    std::fs::write(lab.path("my.toml"), format!("# my.toml{printed}")).unwrap();
    std::fs::create_dir_all(lab.path("datasets/mini-world")).unwrap();
    std::fs::rename(lab.path("data"), lab.path("datasets/mini-world/tasks")).unwrap();
    let cache = lab.path("user-cache");
    let environment = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let train = [
        "train",
        "--config",
        "my.toml",
        "--out",
        "runs/mine",
        "--set",
        "train.steps=20",
    ];
    trained(&lab.fpt_in(&train, &environment));
    let config = std::fs::read_to_string(lab.path("runs/mine/config.toml")).unwrap();
    assert!(
        config.contains("name = \"wide-then-deep\"") && config.contains("batch_size = 16"),
        "{config}"
    );
}
