//! What a call carries, and what is done with it.

use std::hint::black_box;

use clap::ValueEnum;

/// Two neighbouring words of a rewritten argument are this far apart: a cache line.
const LINE_BYTES: usize = 64;
/// Bytes of a message that only has to arrive, where a mechanism cannot send nothing.
pub(crate) const TOKEN_BYTES: usize = 8;

/// Kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Nothing there, nothing back.
    Null,
    /// Bytes there, nothing back; nobody looks at them.
    Argument,
    /// Nothing there, bytes back; nobody looks at them.
    Result,
    /// The client rewrites every cache line of the argument, the server reads every byte and answers with their sum.
    Use,
    /// A descriptor there, which the server closes.
    Descriptor,
}

/// A kind of call with its size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) bytes: usize,
}

impl Shape {
    /// Bytes the user's argument has.
    pub(crate) fn argument(self) -> usize {
        match self.kind {
            Kind::Argument | Kind::Use => self.bytes,
            Kind::Null | Kind::Result | Kind::Descriptor => 0,
        }
    }

    /// Bytes the user's result has.
    pub(crate) fn result(self) -> usize {
        match self.kind {
            Kind::Result => self.bytes,
            Kind::Use => TOKEN_BYTES,
            Kind::Null | Kind::Argument | Kind::Descriptor => 0,
        }
    }

    /// Before each call: what the client does to its argument.
    #[inline]
    pub(crate) fn rewrite(self, argument: &mut [u8], number: u64) {
        if self.kind == Kind::Use {
            for line in argument.chunks_exact_mut(LINE_BYTES) {
                line[..8].copy_from_slice(&number.to_ne_bytes());
            }
        }
        black_box(argument);
    }

    /// What the server does with its argument; the sum is the answer of [`Kind::Use`].
    #[inline]
    pub(crate) fn look(self, argument: &[u8]) -> u64 {
        black_box(argument);
        if self.kind == Kind::Use { sum(argument) } else { 0 }
    }

    /// After each call: whether the answer of [`Kind::Use`] is right for an argument of zeros rewritten with `number`.
    #[inline]
    pub(crate) fn is_answer(self, answer: u64, number: u64) -> bool {
        self.kind != Kind::Use || answer == number.wrapping_mul((self.bytes / LINE_BYTES) as u64)
    }
}

/// The sum of all words: reads every byte.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).fold(0, |sum, word| {
        sum.wrapping_add(u64::from_ne_bytes(word.try_into().unwrap_or_default()))
    })
}

/// A client's side of the argument: bytes that are rewritten before each call as the shape says.
#[derive(Debug)]
pub(crate) struct Argument {
    shape: Shape,
    bytes: Vec<u8>,
    number: u64,
}

impl Argument {
    /// An argument of zeros, at least `least` long.
    pub(crate) fn new(shape: Shape, least: usize) -> Self {
        Self {
            shape,
            bytes: vec![0; shape.argument().max(least)],
            number: 0,
        }
    }

    /// The bytes for the next call.
    #[inline]
    pub(crate) fn next(&mut self) -> &[u8] {
        self.number += 1;
        self.shape.rewrite(&mut self.bytes, self.number);
        &self.bytes
    }

    /// Fails if the answer to the last argument is wrong. `answer` starts with the sum, if the shape asks for one.
    #[inline]
    pub(crate) fn check(&self, answer: &[u8]) -> anyhow::Result<()> {
        if self.shape.kind != Kind::Use {
            return Ok(());
        }
        let sum = answer.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
        anyhow::ensure!(
            sum.is_some_and(|sum| self.shape.is_answer(sum, self.number)),
            "the server did not read what the client wrote"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_use_proves_that_the_argument_of_this_call_was_read() {
        let shape = Shape {
            kind: Kind::Use,
            bytes: 1024,
        };
        let mut argument = Argument::new(shape, 0);
        let first = shape.look(argument.next());
        assert!(argument.check(&first.to_ne_bytes()).is_ok());
        argument.next();
        assert!(
            argument.check(&first.to_ne_bytes()).is_err(),
            "an answer to the call before"
        );
        assert!(argument.check(&[]).is_err(), "no answer");
    }
}
