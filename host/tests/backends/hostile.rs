//! Plugins that lie. Every lie that can be detected is an error that names the plugin and says what is wrong.

use limbeck::Error;

use crate::support::{Hostile, images, logits};

/// What opening the plugin and grading three images comes to.
fn outcome(defines: &[(&str, &str)]) -> Result<Vec<Vec<f32>>, Error> {
    logits(Hostile::new(defines).open()?.as_ref(), &images(3))
}

/// The plugin with this one body is refused with a message that has `part` in it.
#[track_caller]
fn refused(function: &str, body: &str, part: &str) {
    let message = outcome(&[(function, body)]).expect_err("the lie went through").to_string();
    assert!(message.contains(part), "expected `{part}` in `{message}`");
    assert!(message.contains("libhostile.so"), "the plugin is not named in `{message}`");
}

#[track_caller]
fn accepted(defines: &[(&str, &str)]) {
    assert_eq!(outcome(defines).unwrap(), vec![vec![1.0, 0.0, 0.0]; 3]);
}

#[test]
fn the_plugin_without_a_lie_works() {
    accepted(&[]);
}

#[test]
fn query() {
    refused("QUERY", "return 7", "its query function failed with code 7");
    refused("QUERY", "return 2", "it needs a newer host than ABI 1.0: update Limbeck");
    refused("QUERY", "return 0", "its query function said OK but gave no table");
    refused("NAME", "another_name", "no Limbeck plugin: it does not export `limbeck_backend_query_v1`");
    refused(
        "NAME",
        "limbeck_backend_query_v2",
        "speaks ABI 2, this host speaks 1: rebuild it with limbeck-backend 1.x",
    );
}

/// With lazy binding the process would end in the middle of a run.
#[test]
fn a_function_that_is_nowhere() {
    refused("RUN", "extern void nowhere(void); nowhere()", "undefined symbol: nowhere");
}

#[test]
fn table() {
    refused("TABLE", "table->struct_size = 40", "its table has 40 bytes, ABI 1.0 has 72");
    refused("TABLE", "table->struct_size = 0", "its table has 0 bytes");
    for function in ["create", "destroy", "describe", "shapes", "run", "last_error"] {
        let part = format!("its table has NULL for `{function}`, which ABI 1.0 requires");
        refused("TABLE", &format!("table->{function} = NULL"), &part);
    }
    accepted(&[("TABLE", "table->struct_size = sizeof room, table->abi_minor = 9")]);
}

#[test]
fn manifest() {
    refused("MANIFEST", r#""nonsense""#, "its manifest: expected");
    refused("MANIFEST", r#""{\"name\":\"\xff\"}""#, "its manifest is not UTF-8");
    refused("MANIFEST", r#""{\"name\":\"x\"}""#, "its manifest: missing field `version`");
    refused("THREADS", r#""\"sometimes\"""#, "unknown variant `sometimes`");
    refused("TABLE", "table->manifest_json.ptr = NULL", "its manifest is NULL");
    refused("TABLE", "table->manifest_json.len = 0", "its manifest: EOF");
    let with = |operations: &str, devices: &str, dtypes: &str| {
        format!(
            r#""{{\"name\":\"x\",\"version\":\"1\",\"licence\":\"\",\"operations\":[{operations}],\"devices\":[{devices}],\"dtypes\":[{dtypes}],\"threads\":\"serial\",\"deterministic\":true}}""#
        )
    };
    refused("MANIFEST", &with("", r#"\"cpu\""#, ""), "at least one of `operations`");
    refused("MANIFEST", &with(r#"\"denoise\""#, r#"\"cpu\""#, ""), "is no teacher: it has `denoise`, not `classify`");
    refused("MANIFEST", &with(r#"\"classify\""#, r#"\"tpu\""#, r#"\"f32\""#), "works on tpu only");
    let bf16 = r#"\"bf16\""#;
    refused(
        "MANIFEST",
        &with(r#"\"classify\""#, r#"\"cpu\""#, bf16),
        "takes tensors of bf16 only, this host gives f32",
    );
}

#[test]
fn create() {
    refused("CREATE", r#"return SAY("no weights at /w"), 1"#, "can't be set up: no weights at /w");
    refused("CREATE", "return 1", "can't be set up: it gave no reason");
    refused("CREATE", "return 3", "it gave no reason (code 3)");
    refused("CREATE", "return 0", "its `create` said OK but gave no instance");
    let silent = ("LAST_ERROR", "return (limbeck_str){NULL, 9}");
    let message = outcome(&[("CREATE", "return 1"), silent]).unwrap_err().to_string();
    assert!(message.ends_with("can't be set up: it gave no reason"), "{message}");
    let error = outcome(&[("CREATE", "return 1"), ("DESTROY", "abort()")]).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "the recipe chose plugin and weights: {error:?}");
}

#[test]
fn description() {
    refused("DESCRIBE", "return 1", "failed in `describe`: it gave no reason");
    refused("DESCRIBE", "json->ptr = NULL", "its description is NULL");
    refused("DESCRIPTION", r#""{}""#, "its description: missing field `classes`");
    let with = |classes: &str, height: &str| {
        format!(r#""{{\"classes\":{classes},\"input\":{{\"channels\":1,\"height\":{height},\"width\":2}}}}""#)
    };
    refused("DESCRIPTION", &with("0", "2"), "a size of zero or beyond reason");
    refused("DESCRIPTION", &with("3", "99999999999"), "a size of zero or beyond reason");
    refused("DESCRIPTION", &with("-3", "2"), "its description: invalid value");
    refused("DESCRIPTION", &with("4", "2"), "announces f32 [3, 3] for output 0 of operation 1");
    let features = r#""{\"classes\":3,\"features\":5,\"input\":{\"channels\":1,\"height\":2,\"width\":2}}""#;
    refused("DESCRIPTION", features, "announces f32 -1 dimensions for output 1 of operation 1");
    refused("DESCRIPTION", &with("3", "4"), "needs f32 images [n, 1, 4, 2], it got F32 [3, 1, 2, 2]");
}

#[test]
fn shapes() {
    refused("SHAPES", "return 1", "failed in `shapes`: it gave no reason");
    refused("SHAPES", "return 2", "it does not support this operation, input size or output");
    refused("SHAPES", "out->ndim = 99", "announces f32 99 dimensions for output 0");
    refused("SHAPES", "out->ndim = -1", "announces f32 -1 dimensions");
    refused("SHAPES", "out->dims[0] = 7", "announces f32 [7, 3] for output 0");
    refused("SHAPES", "out->dims[1] = -3", "announces f32 [3, -3]");
    refused("SHAPES", "out->dtype.bits = 16", "announces f16 [3, 3]");
    refused("SHAPES", "memset(out, 255, sizeof *out)", "announces DLPack type 255:255 -1 dimensions");
}

#[test]
fn results() {
    refused("RUN", r#"return SAY("row 2 upset me"), 1"#, "failed in `run`: row 2 upset me");
    refused("RUN", "return 4", "failed in `run`: cancelled");
    refused("RUN", "return 99", "it gave no reason (code 99)");
    refused("RAN", "logits[4] = __builtin_nanf(\"\")", "NaN in the logits of row 1 of 3 (column 1 of 3)");
    refused("RAN", "logits[8] = -__builtin_inff()", "-inf in the logits of row 2 of 3");
    refused("RUN", "return (void)logits, LIMBECK_OK", "NaN in the logits of row 0 of 3");
    let bad_utf8 = ("LAST_ERROR", r#"return str("a \xff b")"#);
    let message = outcome(&[("RUN", "return 1"), bad_utf8]).unwrap_err().to_string();
    assert!(message.ends_with("failed in `run`: a \u{fffd} b"), "{message}");
}

#[test]
fn a_plugin_that_rewrites_the_hosts_structs_changes_nothing() {
    accepted(&[("RAN", "memset(out->shape, 255, 16), memset(out, 0, sizeof *out)")]);
}

#[test]
fn a_log_with_null_is_ignored() {
    let body = "host->log(NULL, 1, (limbeck_str){0}), host->log(host->ctx, -5, (limbeck_str){NULL, 77})";
    accepted(&[("CREATE", body)]);
}

/// Grades on four threads at once, with a plugin that takes its time and fails in company.
fn from_four_threads(threads: &str) -> Vec<Result<Vec<Vec<f32>>, Error>> {
    let alone = r#"if (__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST)) SAY("in company"); usleep(20000)"#;
    let leave = r#"__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST); if (*message) return 1"#;
    let plugin = Hostile::new(&[("THREADS", threads), ("RUN", alone), ("RAN", leave)]);
    let teacher = plugin.open().unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| logits(teacher.as_ref(), &images(1)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn serial_and_single_plugins_get_one_call_at_a_time() {
    for threads in [r#""\"serial\"""#, r#""\"single\"""#] {
        assert!(from_four_threads(threads).iter().all(Result::is_ok), "{threads}");
    }
    assert!(from_four_threads(r#""\"concurrent\"""#).iter().any(Result::is_err), "the test sees no company");
}

#[test]
fn single_plugins_are_always_called_from_one_thread() {
    let other = r#"if (!pthread_equal(owner, pthread_self())) return SAY("another thread"), 1"#;
    let fatal = "if (!pthread_equal(owner, pthread_self())) abort()";
    let bodies = [("SHAPES", other), ("RUN", other), ("DESTROY", fatal)];
    let grade = |threads: &str| {
        let plugin = Hostile::new(&[&bodies[..2], &[("THREADS", threads)]].concat());
        let teacher = plugin.open().unwrap();
        std::thread::scope(|scope| scope.spawn(|| logits(teacher.as_ref(), &images(1))).join().unwrap())
    };
    assert!(grade(r#""\"single\"""#).is_ok());
    assert!(grade(r#""\"serial\"""#).unwrap_err().to_string().contains("another thread"));
    let plugin = Hostile::new(&[&bodies[..], &[("THREADS", r#""\"single\"""#)]].concat());
    let teacher = plugin.open().unwrap();
    std::thread::spawn(move || drop(teacher)).join().unwrap();
}
