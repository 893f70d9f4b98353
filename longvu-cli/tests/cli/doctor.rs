//! `longvu doctor`.

use serde_json::Value;

use crate::support::{Run, longvu, run};

fn doctor(arguments: &[&str]) -> Run {
    run(longvu().args(["doctor", "--small"]).args(arguments))
}

#[test]
fn the_cpu_is_sound() {
    let json = doctor(&["--json"]).json();
    assert_eq!(json["faults"], serde_json::json!([]));
    let findings = json["findings"].as_array().unwrap();
    for dtype in ["f32", "f16", "bf16"] {
        let of_dtype =
            |name: &str| findings.iter().find(|finding| finding["name"] == name && finding["dtype"] == dtype);
        for name in ["linear", "causal_attention", "dinov2", "siglip", "aggregator", "decoder", "spatial_stage"] {
            let error = of_dtype(name).unwrap_or_else(|| panic!("{name} {dtype}"))["error"].as_f64().unwrap();
            assert!(error < 0.01, "{name} {dtype}: {error}");
        }
    }
    // Something is compared with something else: the kernels round otherwise than what they are compared with.
    let error = |finding: &Value| finding["error"].as_f64().unwrap();
    assert!(findings.iter().filter(|finding| error(finding) > 0.0).count() > findings.len() / 2, "{findings:#?}");
    assert_eq!(json["questions"]["same"], json["questions"]["asked"]);
    assert!(findings.iter().any(|finding| finding["name"] == "linear_int4"));
    assert!(json["machine"]["kernels"].is_string(), "{json:#}");
}

#[test]
fn a_fault_is_found_and_named() {
    for name in ["rms_norm", "attention_of_one_query", "siglip", "query_stage"] {
        let run = doctor(&["--dtypes", "f32", "--fault", name]);
        assert_eq!(run.code, 1, "{}", run.stdout);
        let wrong: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("wrong: ")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains(name), "{wrong:?}");
        assert!(run.stderr.contains("1 of the checks of cpu found something wrong"), "{}", run.stderr);
    }
}

#[test]
fn what_there_is_none_of_is_refused() {
    doctor(&["--device", "cuda:7"]).fails(1, &["cuda:7", "available here"]);
    doctor(&["--fault", "nothing"]).fails(1, &["no check is called `nothing`", "layer_norm"]);
    run(longvu().args(["doctor", "--small"]).env("LONGVU_KERNELS", "off")).fails(1, &["LONGVU_KERNELS is off"]);
    doctor(&["--full"]).fails(2, &["--small", "--full"]);
}
