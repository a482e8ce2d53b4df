//! A terminal at the UART: lines are read with echo and backspace, text and numbers are written.

use heapless::Vec;

use crate::board;

/// Bytes of the longest line; what is typed beyond is not taken, and the bell rings.
const LINE: usize = 240;

const END: u8 = 0x04;
const BELL: u8 = 0x07;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

pub struct Console {
    /// The line that was read, as typed.
    pub line: Vec<u8, LINE>,
    after_return: bool,
}

impl Console {
    pub fn new() -> Self {
        Self {
            line: Vec::new(),
            after_return: false,
        }
    }

    /// Reads a line; `false` at the end of the session, Ctrl-D.
    pub fn read_line(&mut self) -> bool {
        self.line.clear();
        self.text("> ");
        loop {
            let byte = board::receive();
            // Some terminals send a carriage return, some a line feed, some both.
            let second = self.after_return && byte == b'\n';
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if second => {}
                b'\r' | b'\n' => {
                    self.text("\r\n");
                    return true;
                }
                END => {
                    self.text("\r\n");
                    return false;
                }
                BACKSPACE | DELETE => self.erase(),
                _ if self.line.push(byte).is_ok() => board::send(byte),
                _ => board::send(BELL),
            }
        }
    }

    /// Takes back the last character, which in UTF-8 may be several bytes.
    fn erase(&mut self) {
        while let Some(byte) = self.line.pop() {
            if byte & 0xc0 != 0x80 {
                return self.text("\x08 \x08");
            }
        }
    }

    pub fn text(&mut self, text: &str) {
        text.bytes().for_each(board::send);
    }

    pub fn number(&mut self, number: u32) {
        self.aligned(number, 0);
    }

    /// A number at the right of so many columns.
    pub fn aligned(&mut self, number: u32, columns: usize) {
        let mut digits = Vec::<u8, 10>::new();
        let mut rest = number;
        loop {
            // A u32 has at most ten digits.
            let _ = digits.push(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        for _ in digits.len()..columns {
            board::send(b' ');
        }
        digits.iter().rev().for_each(|&digit| board::send(digit));
    }

    pub fn hex(&mut self, word: u32) {
        for shift in (0..u32::BITS).step_by(4).rev() {
            let digit = (word >> shift & 15) as u8;
            board::send(if digit < 10 {
                b'0' + digit
            } else {
                b'a' - 10 + digit
            });
        }
    }
}
