//! Whole pages: complete, empty, damaged and under attack.

use tempfile::TempDir;

use super::*;

fn render(dir: &TempDir) -> String {
    let run = RunDir::create(dir.path()).unwrap();
    std::fs::read_to_string(super::run(&run).unwrap()).unwrap()
}

fn whole() -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    fixture::write(dir.path());
    let page = render(&dir);
    (dir, page)
}

#[test]
fn a_whole_run_shows_every_section() {
    let (_dir, page) = whole();
    for id in ["drawn", "kept", "weights", "training", "errors", "cost", "again"] {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "no section {id}");
    }
    for part in [
        "top-1 accuracy on",
        "<br>top-5 99.91\u{202f}%",
        "the teacher sees another class",
        "unsure: below 0.70",
        "seen as",
        "teacher-filter 0.1.0",
        "148",
        "5d41402abc4b",
        "limbeck run plan.toml --out DIR",
        "on cpu, 2 threads. Work that was interrupted is not counted.",
    ] {
        assert!(page.contains(part), "the page lacks {part:?}");
    }
    assert!(!page.contains("can’t be read") && !page.contains("NaN"));
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
}

#[test]
fn the_page_needs_and_runs_nothing_else() {
    let (_dir, page) = whole();
    assert!(page.contains("&lt;/q&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x"), "{:?}", fixture::EVIL);
    for part in ["<script", "onerror='", "src=\"http", "href=\"http", "@import", "<link"] {
        assert!(!page.contains(part), "the page has {part:?}");
    }
    let sources = page.split("src=\"").skip(1);
    assert!(sources.into_iter().all(|source| source.starts_with("data:image/png;base64,")));
}

#[test]
fn every_picture_has_words() {
    let (_dir, page) = whole();
    assert!(
        page.split("<img ").skip(1).all(|img| img.split('>').next().is_some_and(|tag| tag.contains("alt=\"drawn")))
    );
    let charts = page.split("<svg class=\"chart\"").skip(1);
    assert!(charts.into_iter().all(|svg| svg.split('>').next().is_some_and(|tag| tag.contains("aria-label=\""))));
}

#[test]
fn the_same_run_gives_the_same_page() {
    let (dir, page) = whole();
    assert_eq!(render(&dir), page);
}

#[test]
fn an_empty_run_is_a_page_too() {
    let page = render(&TempDir::new().unwrap());
    assert!(page.contains("<h1>a run</h1>") && !page.contains("<section id="));
}

#[test]
fn damaged_parts_are_named_and_left_out() {
    let (dir, _) = whole();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("eval.json", "{");
    put("subset/round-000.json", "5");
    put("plan.toml", "run = 5");
    put("metrics.jsonl", "{\"loss\": \"high\"}\n\n{\"arm\":\"synthetic\",\"step\":1,\"loss\":0.5}\nnonsense");
    put("pool/round-000/000001.tar", "short");
    let page = render(&dir);
    for part in ["eval.json", "round-000.json", "plan.toml", "2 lines can&#39;t be read", "000001.tar"] {
        let named = page.split("Left out because").nth(1).is_some_and(|rest| rest.contains(part));
        assert!(named, "the page doesn't name {part:?}");
    }
    assert!(page.contains("<section id=\"training\">") && !page.contains("<section id=\"drawn\">"));
}

#[test]
fn one_image_is_one_image() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("subset")).unwrap();
    let subset = serde_json::json!({ "decisions": [{"id": 0, "class": 0, "kept": true}] });
    std::fs::write(dir.path().join("subset/round-000.json"), subset.to_string()).unwrap();
    std::fs::write(dir.path().join("metrics.jsonl"), "nonsense").unwrap();
    let student = serde_json::json!({"per_class": [1.0], "confusion": [[1]], "top1": 1.0, "images": 1});
    let judgement = serde_json::json!({"arms": {"synthetic": {"top1": {"mean": 1.0}, "students": [student]}}});
    std::fs::write(dir.path().join("eval.json"), judgement.to_string()).unwrap();
    let page = render(&dir);
    for part in
        ["kept 1 of 1 image and dropped 0", "The decision in words", "on 1 real test image,", "1 line can&#39;t"]
    {
        assert!(page.contains(part), "the page lacks {part:?}");
    }
    assert!(!page.contains("1 images") && !page.contains("1 seeds"));
}

/// Charts have room for some classes; the tables below them have all.
#[test]
fn classes_that_are_not_shown_are_counted() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("subset")).unwrap();
    let decisions: Vec<_> = (0..45).map(|class| serde_json::json!({"id": class, "class": class})).collect();
    let subset = serde_json::json!({ "decisions": decisions });
    std::fs::write(dir.path().join("subset/round-000.json"), subset.to_string()).unwrap();
    let mut shares = vec![0.25; 45];
    shares[7] = 0.0;
    let confusion = vec![vec![1; 45]; 45];
    let student = serde_json::json!({"per_class": shares, "confusion": confusion, "top1": 0.25, "images": 45});
    let judgement = serde_json::json!({"arms": {"synthetic": {"top1": {"mean": 0.25}, "students": [student]}}});
    std::fs::write(dir.path().join("eval.json"), judgement.to_string()).unwrap();
    let page = render(&dir);
    let by_class = page.split("<h3>By class</h3>").skip(1).map(|card| card.split("</figcaption>").next().unwrap());
    let by_class: Vec<_> = by_class.collect();
    assert!(by_class.iter().all(|head| head.contains("The first 40 of 45 classes are shown.")), "{by_class:?}");
    assert!(by_class.len() == 2 && by_class[1].contains("The axis begins at 0.00"), "{by_class:?}");
    assert!(page.contains("The axis begins at 24.90"));
}

#[test]
fn odd_numbers_do_not_panic() {
    let dir = TempDir::new().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put(
        "eval.json",
        r#"{"arms": {"x": {"students": [{"confusion": [[1,2],[3]], "per_class": [null]}, {"top1": 7}]}, "synthetic": {}}}"#,
    );
    put(
        "subset/round-000.json",
        r#"{"decisions": [{"id": 18446744073709551615, "score": -1e308}, {"score": 1e308, "kept": true}]}"#,
    );
    put("weights/synthetic-seed-0.json", r#"{"ids": [1, 2], "mean_weight": [null]}"#);
    put("weights/other.json", r#"{"ids": [1, 2], "mean_weight": [0.1, 1e300]}"#);
    put("summary.json", r#"{"seconds": {"synth": -5, "x": 1e300}}"#);
    put("metrics.jsonl", r#"{"arm": "x", "step": 18446744073709551615, "loss": 1e308, "accuracy": -3}"#);
    let page = render(&dir);
    assert!(page.contains("<section id=\"kept\">"));
}

/// `cargo test -p limbeck --lib write_a_page_to_look_at -- --ignored`, then open the page in a browser.
#[test]
#[ignore = "writes a page for eyes, not for assertions"]
fn write_a_page_to_look_at() {
    let root = std::env::temp_dir().join("limbeck-report");
    let page = super::run(&fixture::write(&root)).unwrap();
    assert!(page.exists());
}
