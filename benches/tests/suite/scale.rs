//! The scale model on a small city of the smallest shape: complete labels, a stable file, a sample that says so.

use std::collections::BTreeSet;

use crate::common::alone;
use gridveil_benches::{
    bar::Bar,
    figure::{Basis, unlabelled},
    scale::{
        Proving, Question,
        city::City,
        measure,
        model::Prices,
        pipeline::Step,
        report::{FORM, ScaleReport},
    },
};
use gridveil_protocol::params::SHAPES;

fn report(sample: Option<u32>, gas_settle: Option<u64>) -> ScaleReport {
    let question = Question {
        city: City { homes: 14, shape: SHAPES[0], seed: 1 },
        sample,
        gas_prices_gwei: vec![0.01, 1.0],
        prices: Prices { eth_eur: 3000.0, machine_hour_eur: 0.1 },
    };
    let proving = Proving { machine: "another".into(), prove_s: 2.0, prove_cpu_s: 3.5, proof_bytes: 4000, gas_settle };
    measure(&question, &proving, &Bar::silent()).unwrap()
}

#[test]
fn every_figure_is_labelled_and_the_file_keeps_its_form() {
    let _alone = alone();
    let report = report(None, Some(700_000));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(unlabelled(&json), Vec::<String>::new());
    assert_eq!(serde_json::from_value::<ScaleReport>(json.clone()).unwrap(), report);
    // A field more or less is another form: change FORM with it.
    let fields: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "form",
        "machine",
        "proving_machine",
        "shape",
        "city",
        "stages",
        "peak_memory",
        "storage",
        "bottleneck",
        "limits",
        "projections",
        "assumptions",
    ];
    assert_eq!((report.form.as_str(), fields), (FORM, BTreeSet::from(expected)));
    assert_eq!(json["stages"][0].as_object().unwrap().len(), 9);
    assert_eq!(json["projections"][0].as_object().unwrap().len(), 11);
}

#[test]
fn a_whole_city_is_measured_and_a_sample_is_computed() {
    let _alone = alone();
    let (whole, sample) = (report(None, Some(700_000)), report(Some(2), Some(700_000)));
    assert_eq!((whole.city.homes_run.value, whole.city.communities_run.value, whole.city.sample), (14.0, 4.0, false));
    assert_eq!((sample.city.homes_run.value, sample.city.communities_run.value, sample.city.sample), (8.0, 2.0, true));
    let basis = |report: &ScaleReport, step| report.stages.iter().find(|s| s.step == step).unwrap().seconds.basis;
    assert_eq!((basis(&whole, Step::Transition), basis(&sample, Step::Transition)), (Basis::Measured, Basis::Computed));
    // Log and proof are always measured for one community.
    assert_eq!((basis(&whole, Step::Prove), basis(&whole, Step::Log)), (Basis::Computed, Basis::Computed));
    // 4 communities of 2 s, 12 periods a day.
    let proving = whole.stages.iter().find(|s| s.step == Step::Prove).unwrap();
    assert!((proving.seconds.value - 8.0).abs() < 1e-9);
    assert!((whole.projections[0].proofs_per_day.value - 48.0).abs() < 1e-9);
    let shares: f64 = whole.stages.iter().filter_map(|s| s.share.as_ref()).map(|f| f.value).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    assert!(whole.limits.windows(2).all(|pair| pair[0].homes.value <= pair[1].homes.value));
    assert!(whole.render().contains("sign packets") && sample.render().contains("a sample of it was run"));
}

#[test]
fn without_measured_gas_nothing_is_said_about_it() {
    let _alone = alone();
    let report = report(Some(1), None);
    assert!(report.projections.iter().all(|p| p.gas_per_day.is_none() && p.gas_per_home_year.is_empty()));
    assert_eq!(unlabelled(&serde_json::to_value(&report).unwrap()), Vec::<String>::new());
}
