use super::*;
use crate::figure::unlabelled;

#[test]
fn sizes_are_read_and_bounded() {
    assert_eq!("32x24".parse(), Ok(Size { members: 32, intervals: 24 }));
    for wrong in ["32", "33x24", "512x24", "2x24", "32x1", "32x97", "ax3"] {
        assert!(wrong.parse::<Size>().is_err(), "{wrong}");
    }
}

#[test]
fn a_deployable_shape_has_the_smallest_k_for_its_statement() {
    for shape in SHAPES.iter().filter(|shape| shape.members <= 32) {
        let (fitted, area) = fit(Size { members: shape.members, intervals: shape.intervals }).unwrap();
        assert!(area.k <= shape.k && area.rows > 1 << (area.k - 1), "{}: {area:?}", shape.name);
        assert_eq!(fitted.k, area.k);
    }
}

#[test]
fn gas_is_a_line_through_what_was_measured() {
    let model = GasModel::through((32.0, 720_000.0), (128.0, 768_000.0)).unwrap();
    assert_eq!((model.gas(32), model.gas(64), model.gas(128)), (720_000.0, 736_000.0, 768_000.0));
    assert_eq!(GasModel::through((32.0, 1.0), (32.0, 2.0)), None);
}

fn points() -> Vec<Point> {
    let (size, area) = (Size { members: 64, intervals: 24 }, Area { rows: 60_000, copies: 9, k: 16, table_bits: 8 });
    let model = GasModel::through((0.0, 700_000.0), (100.0, 750_000.0)).unwrap();
    let s = |value| Figure::measured(value, "s");
    let proof = ProofPoint {
        keygen: s(1.0),
        prove: s(6.0),
        prove_cpu: s(11.0),
        peak_memory: s(300.0),
        proof: s(4800.0),
        verifier: None,
        readings_per_s: s(256.0),
    };
    vec![
        point(size, area, Some(&model), Some((proof.clone(), Some(740_000)))),
        point(size, area, Some(&model), Some((proof, None))),
        point(Size { members: 128, intervals: 96 }, area, Some(&model), None),
        point(size, area, None, None),
    ]
}

#[test]
fn gas_says_whether_it_was_measured() {
    let basis: Vec<_> = points().iter().map(|p| p.gas.as_ref().map(|gas| gas.basis)).collect();
    assert_eq!(basis, [Some(Basis::Measured), Some(Basis::Computed), Some(Basis::Computed), None]);
    assert_eq!(points()[2].deployable.as_deref(), Some("district-128x96"));
}

#[test]
fn every_figure_is_labelled_and_the_file_reads_back() {
    let report = GrowthReport { form: FORM.into(), machine: "m".into(), gas_model: "g".into(), points: points() };
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(unlabelled(&json), Vec::<String>::new());
    assert_eq!(serde_json::from_value::<GrowthReport>(json).unwrap(), report);
    let table = report.render();
    let widths: Vec<usize> = table.lines().skip(3).take(5).map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
}
