//! A `snark-verifier` loader and transcript that record the verifier as a [`Program`] instead of running it.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};
use std::rc::Rc;

use halo2curves::CurveAffine;
use halo2curves::bn256::{Fr, G1Affine};
use halo2curves::ff::PrimeField;
use snark_verifier::Error;
use snark_verifier::loader::{EcPointLoader, LoadedEcPoint, LoadedScalar, Loader, ScalarLoader};
use snark_verifier::util::arithmetic::FieldOps;
use snark_verifier::util::transcript::{Transcript, TranscriptRead};

use crate::program::{Id, Op, Point, Program, Segment, WordKind};

/// Shared handle on the program being recorded.
#[derive(Clone, Default)]
pub(crate) struct Recorder(pub Rc<RefCell<Program>>);

impl Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    fn scalar(&self, id: Id) -> Scalar {
        Scalar { recorder: self.clone(), id }
    }

    fn point(&self, point: Point) -> EcPoint {
        EcPoint { recorder: self.clone(), point }
    }

    fn fault(&self, what: &'static str) {
        self.0.borrow_mut().fault.get_or_insert(what);
    }
}

/// A recorded field element.
#[derive(Clone)]
pub(crate) struct Scalar {
    recorder: Recorder,
    pub id: Id,
}

impl Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.id)
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $assign:ident, $assign_method:ident) => {
        impl $trait for Scalar {
            type Output = Self;
            fn $method(self, rhs: Self) -> Self {
                $trait::$method(self, &rhs)
            }
        }
        impl<'a> $trait<&'a Scalar> for Scalar {
            type Output = Self;
            fn $method(self, rhs: &'a Self) -> Self {
                let id = self.recorder.0.borrow_mut().$method(self.id, rhs.id);
                self.recorder.scalar(id)
            }
        }
        impl $assign for Scalar {
            fn $assign_method(&mut self, rhs: Self) {
                $assign::$assign_method(self, &rhs);
            }
        }
        impl<'a> $assign<&'a Scalar> for Scalar {
            fn $assign_method(&mut self, rhs: &'a Self) {
                self.id = self.recorder.0.borrow_mut().$method(self.id, rhs.id);
            }
        }
    };
}

binary!(Add, add, AddAssign, add_assign);
binary!(Sub, sub, SubAssign, sub_assign);
binary!(Mul, mul, MulAssign, mul_assign);

impl Neg for Scalar {
    type Output = Self;
    fn neg(self) -> Self {
        let id = self.recorder.0.borrow_mut().neg(self.id);
        self.recorder.scalar(id)
    }
}

impl FieldOps for Scalar {
    fn invert(&self) -> Option<Self> {
        let id = self.recorder.0.borrow_mut().inv(self.id);
        Some(self.recorder.scalar(id))
    }
}

impl LoadedScalar<Fr> for Scalar {
    type Loader = Recorder;

    fn loader(&self) -> &Recorder {
        &self.recorder
    }

    fn pow_var(&self, _exp: &Self, _exp_max_bits: usize) -> Self {
        self.recorder.fault("variable exponent");
        self.clone()
    }
}

/// A recorded curve point.
#[derive(Clone)]
pub(crate) struct EcPoint {
    recorder: Recorder,
    pub point: Point,
}

impl Debug for EcPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.point.fmt(f)
    }
}

impl PartialEq for EcPoint {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl LoadedEcPoint<G1Affine> for EcPoint {
    type Loader = Recorder;

    fn loader(&self) -> &Recorder {
        &self.recorder
    }
}

impl EcPointLoader<G1Affine> for Recorder {
    type LoadedEcPoint = EcPoint;

    fn ec_point_load_const(&self, value: &G1Affine) -> EcPoint {
        let coordinates: Option<_> = value.coordinates().into();
        self.point(match coordinates {
            Some(affine) => {
                let affine: halo2curves::Coordinates<G1Affine> = affine;
                Point::Const(affine.x().to_repr(), affine.y().to_repr())
            }
            None => Point::Identity,
        })
    }

    fn ec_point_assert_eq(&self, _: &str, _: &EcPoint, _: &EcPoint) {
        self.fault("point equality");
    }

    fn multi_scalar_multiplication(pairs: &[(&Scalar, &EcPoint)]) -> EcPoint {
        let Some((_, first)) = pairs.first() else {
            let recorder = Self::default();
            recorder.fault("empty multi-scalar multiplication");
            return recorder.point(Point::Identity);
        };
        let recorder = first.recorder.clone();
        let terms = pairs.iter().map(|(scalar, point)| (scalar.id, point.point)).collect();
        let index = {
            let mut program = recorder.0.borrow_mut();
            program.msms.push(terms);
            program.msms.len() as u32 - 1
        };
        recorder.point(Point::Msm(index))
    }
}

impl ScalarLoader<Fr> for Recorder {
    type LoadedScalar = Scalar;

    fn load_const(&self, value: &Fr) -> Scalar {
        let id = self.0.borrow_mut().constant(value);
        self.scalar(id)
    }

    fn assert_eq(&self, _: &str, _: &Scalar, _: &Scalar) {
        self.fault("scalar equality");
    }

    fn batch_invert<'a>(values: impl IntoIterator<Item = &'a mut Scalar>) {
        let values: Vec<&mut Scalar> = values.into_iter().collect();
        let Some(first) = values.first() else { return };
        let recorder = first.recorder.clone();
        let ids: Vec<Id> = values.iter().map(|value| value.id).collect();
        let inverses = recorder.0.borrow_mut().batch_invert(&ids);
        for (value, inverse) in values.into_iter().zip(inverses) {
            value.id = inverse;
        }
    }
}

impl Loader<G1Affine> for Recorder {}

/// The transcript side: calldata is read in order, and every word read is absorbed.
#[derive(Debug)]
pub(crate) struct RecordingTranscript {
    recorder: Recorder,
    /// First calldata word not yet squeezed.
    open: u32,
}

impl RecordingTranscript {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), open: 0 }
    }

    fn read(&mut self, kind: WordKind) -> u32 {
        let mut program = self.recorder.0.borrow_mut();
        program.words.push(kind);
        program.words.len() as u32 - 1
    }

    fn scalar_word(&mut self) -> Scalar {
        let word = self.read(WordKind::Scalar);
        let id = self.recorder.0.borrow_mut().intern(Op::Word(word));
        self.recorder.scalar(id)
    }

    /// Reads the instances, which calldata starts with. They are absorbed by the verifier's `common_scalar` in the same
    /// order.
    pub(crate) fn load_instances(&mut self, num_instance: &[usize]) -> Vec<Vec<Scalar>> {
        num_instance.iter().map(|len| (0..*len).map(|_| self.scalar_word()).collect()).collect()
    }
}

impl Transcript<G1Affine, Recorder> for RecordingTranscript {
    fn loader(&self) -> &Recorder {
        &self.recorder
    }

    fn squeeze_challenge(&mut self) -> Scalar {
        let id = {
            let mut program = self.recorder.0.borrow_mut();
            let segment = Segment { start: self.open, end: program.words.len() as u32 };
            self.open = segment.end;
            program.segments.push(segment);
            let challenge = program.segments.len() as u32 - 1;
            program.intern(Op::Challenge(challenge))
        };
        self.recorder.scalar(id)
    }

    fn common_ec_point(&mut self, _: &EcPoint) -> Result<(), Error> {
        self.recorder.fault("absorbing a point that is not in the proof");
        Ok(())
    }

    fn common_scalar(&mut self, scalar: &Scalar) -> Result<(), Error> {
        let mut program = self.recorder.0.borrow_mut();
        match program.op(scalar.id) {
            Op::Const(bytes) if program.segments.is_empty() && program.initial_state.is_none() => {
                program.initial_state = Some(bytes);
            }
            // Instances: absorbed where they lie.
            Op::Word(_) if program.segments.is_empty() => {}
            _ => {
                program.fault.get_or_insert("absorbing a scalar that is not in the calldata");
            }
        }
        Ok(())
    }
}

impl TranscriptRead<G1Affine, Recorder> for RecordingTranscript {
    fn read_scalar(&mut self) -> Result<Scalar, Error> {
        Ok(self.scalar_word())
    }

    fn read_ec_point(&mut self) -> Result<EcPoint, Error> {
        let word = self.read(WordKind::Coordinate);
        self.read(WordKind::Coordinate);
        Ok(self.recorder.point(Point::Calldata(word)))
    }
}
