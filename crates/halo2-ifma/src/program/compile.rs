//! From a graph to instructions: operands first, and registers given back after their last use.

use super::{
    CONSTANTS, Instruction, Program,
    graph::{Graph, Kind, Node},
};

/// Instructions so far, and which nodes are in which register.
pub(super) struct Compiler<'a> {
    graph: &'a Graph,
    uses: Vec<u32>,
    register: Vec<Option<u32>>,
    free: Vec<u32>,
    program: Program,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        let constants = graph.constants.clone();
        let program = Program { instructions: Vec::new(), constants, registers: 0, output: 0 };
        Self {
            graph,
            uses: vec![0; graph.kinds.len()],
            register: vec![None; graph.kinds.len()],
            free: Vec::new(),
            program,
        }
    }

    fn operands(&self, node: Node) -> [Option<Node>; 2] {
        match self.graph.kind(node) {
            Kind::Constant(_) | Kind::Query(_) => [None, None],
            Kind::Add(a, b) | Kind::Sub(a, b) | Kind::Mul(a, b) => [Some(a), Some(b)],
            Kind::Reduce(a) => [Some(a), None],
        }
    }

    fn count(&mut self, node: Node) {
        self.uses[node.0 as usize] += 1;
        if self.uses[node.0 as usize] == 1 {
            for operand in self.operands(node).into_iter().flatten() {
                self.count(operand);
            }
        }
    }

    /// The program whose result is `output`.
    pub(super) fn run(mut self, output: Node) -> Program {
        self.count(output);
        self.program.output = self.emit(output);
        self.program
    }

    /// Computes a node if it has not been, operands first; returns its register.
    fn emit(&mut self, node: Node) -> u32 {
        if let Some(register) = self.register[node.0 as usize] {
            return register;
        }
        if let Kind::Constant(index) = self.graph.kind(node) {
            return CONSTANTS + index as u32;
        }
        let operands = self.operands(node);
        let [a, b] = operands.map(|operand| operand.map(|operand| self.emit(operand)));
        for operand in operands.into_iter().flatten() {
            self.release(operand);
        }
        let to = self.free.pop().unwrap_or_else(|| {
            self.program.registers += 1;
            (self.program.registers - 1) as u32
        });
        self.register[node.0 as usize] = Some(to);
        let (a, b) = (a.unwrap_or(0), b.unwrap_or(0));
        self.program.instructions.push(match self.graph.kind(node) {
            Kind::Query(query) => Instruction::Load { to, query },
            Kind::Add(..) => Instruction::Add { to, a, b },
            Kind::Sub(_, subtrahend) => {
                Instruction::Sub { to, a, b, log: self.graph.bound(subtrahend).next_power_of_two().ilog2() }
            }
            Kind::Mul(..) | Kind::Constant(_) => Instruction::Mul { to, a, b },
            Kind::Reduce(_) => Instruction::Reduce { to, a },
        });
        to
    }

    fn release(&mut self, node: Node) {
        let uses = &mut self.uses[node.0 as usize];
        *uses -= 1;
        if *uses == 0
            && let Some(register) = self.register[node.0 as usize]
        {
            self.free.push(register);
        }
    }
}
