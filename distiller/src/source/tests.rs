use std::fs;

use super::*;

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in REQUIRED {
        fs::copy(tiny_bert().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn reads_a_folder() {
    let name = tiny_bert().display().to_string();
    let source = TeacherSource::open(&name).unwrap();
    assert_eq!(source.pooling, Pooling::Mean);
    assert_eq!(source.pad_token.as_deref(), Some("[PAD]"));
    let provenance = source.provenance();
    assert_eq!(
        (provenance.teacher.as_str(), provenance.licence.as_str()),
        (name.as_str(), "apache-2.0")
    );
    assert_eq!(provenance.teacher_sha256.len(), 64);
}

#[test]
fn finds_the_pooling_that_modules_json_names() {
    let folder = copy();
    let pooling = |folder: &Path| {
        TeacherSource::open(folder.to_str().unwrap())
            .unwrap()
            .pooling
    };
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    fs::write(
        folder.path().join("1_Pooling/config.json"),
        r#"{"pooling_mode_cls_token": true}"#,
    )
    .unwrap();
    assert_eq!(pooling(folder.path()), Pooling::Cls);
    fs::create_dir(folder.path().join("2_Pooling")).unwrap();
    fs::write(
        folder.path().join("2_Pooling/config.json"),
        r#"{"pooling_mode_lasttoken": true}"#,
    )
    .unwrap();
    let modules = r#"[{"path": "", "type": "x.Transformer"}, {"path": "2_Pooling", "type": "x.models.Pooling"}]"#;
    fs::write(folder.path().join("modules.json"), modules).unwrap();
    assert_eq!(pooling(folder.path()), Pooling::Last);
}

#[test]
fn names_what_is_missing_or_broken() {
    for file in REQUIRED {
        let folder = copy();
        fs::remove_file(folder.path().join(file)).unwrap();
        let error = TeacherSource::open(folder.path().to_str().unwrap()).unwrap_err();
        assert!(
            matches!(&error, Error::MissingFile { file: missing, .. } if *missing == file),
            "{error}"
        );
    }
    let folder = copy();
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(matches!(
        TeacherSource::open(folder.path().to_str().unwrap()),
        Err(Error::Json { .. })
    ));
    let file = folder.path().join("tokenizer.json");
    assert!(matches!(
        TeacherSource::open(file.to_str().unwrap()),
        Err(Error::Source { .. })
    ));
}

#[test]
fn refuses_names_that_are_nothing() {
    for name in [
        "",
        "no-such-folder",
        "a/b/c",
        "./gone",
        "/gone",
        "org/",
        "../x",
        "pypi:",
        "pypi:--help",
        "pypi:a b",
    ] {
        let error = TeacherSource::open(name).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{name}: {error}");
    }
}

#[test]
fn reads_front_matter() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("README.md");
    fs::write(
        &card,
        "---\nlicense: \"mit\"\nlanguage:\n- en\n  nested: 1\nname: 'x: y'\n---\nlicense: no\n",
    )
    .unwrap();
    let fields = front_matter(&card);
    assert_eq!(fields.len(), 2, "{fields:?}");
    assert_eq!(
        (fields["license"].as_str(), fields["name"].as_str()),
        ("mit", "x: y")
    );
    fs::write(&card, "# No front matter\nlicense: mit\n").unwrap();
    assert!(front_matter(&card).is_empty());
    assert!(front_matter(&folder.path().join("gone")).is_empty());
}

#[test]
fn weights_may_be_in_pieces() {
    let folder = copy();
    let whole = TeacherSource::open(folder.path().to_str().unwrap()).unwrap();
    fs::remove_file(folder.path().join(WHOLE)).unwrap();
    let pieces = tiny_bert().join("../teachers/roberta");
    let mut contents = Vec::new();
    let mut names: Vec<_> = fs::read_dir(&pieces)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("model"))
        .collect();
    names.sort();
    for name in names {
        fs::copy(pieces.join(&name), folder.path().join(&name)).unwrap();
        if name != INDEX {
            contents.extend(fs::read(pieces.join(&name)).unwrap());
        }
    }
    let source = TeacherSource::open(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(source.weights_sha256, hex(&Sha256::digest(&contents)));
    assert_ne!(source.weights_sha256, whole.weights_sha256);
}

#[test]
fn a_torchscript_file_is_a_teacher_where_there_is_nothing_else() {
    let folder = copy();
    let name = folder.path().to_str().unwrap();
    let script = folder.path().join("a.pt");
    fs::write(&script, "a").unwrap();
    assert_eq!(TeacherSource::open(name).unwrap().script, None);
    let by_name = TeacherSource::open(script.to_str().unwrap()).unwrap();
    assert_eq!(by_name.script.as_ref(), Some(&script));
    fs::remove_file(folder.path().join(WHOLE)).unwrap();
    assert_eq!(TeacherSource::open(name).unwrap().script, Some(script));
    fs::write(folder.path().join("b.pt"), "b").unwrap();
    let error = TeacherSource::open(name).unwrap_err().to_string();
    assert!(error.contains("several .pt files"), "{error}");
}

#[test]
fn a_prompt_goes_behind_the_first_special_tokens() {
    let source = TeacherSource::open(tiny_bert().to_str().unwrap()).unwrap();
    let prompt = source.clone().with_prompt("bad a").unwrap().prompt.unwrap();
    let id = |token: &str| source.tokenizer["model"]["vocab"][token].as_u64().unwrap() as u32;
    let ids = [id("[CLS]"), id("bad"), id("a"), 9, id("[SEP]")];
    assert_eq!(prompt.put_before(&[id("[CLS]"), 9, id("[SEP]")]), ids);
    assert_eq!((prompt.text(), prompt.len()), ("bad a", 2));
    assert!(source.with_prompt("").is_err());
}
