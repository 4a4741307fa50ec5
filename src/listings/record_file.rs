//! Reads records from JSON: one document, an array, or one value after the other, as in JSON lines. One record is in memory
//! at a time, so the file may be of any size.

use std::io::{self, BufRead, BufReader, Read};

use clientele_model::parse_json;
use serde_json::Value;

/// The longest record. A whole answer of a list API, with a thousand customers, is far below it.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// The bytes of a UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Why the rest of the records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordFileError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Something else than a record is where one is expected.
    #[error("in line {line}, {expected} is expected")]
    NotARecord {
        /// The line.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// An object that the parser does not accept.
    #[error("the record in line {line} is not JSON")]
    NotJson {
        /// The line in which it begins.
        line: usize,
    },
    /// A record that is much longer than any customer.
    #[error("the record in line {line} is longer than {RECORD_BYTES_MAX} bytes")]
    TooLong {
        /// The line in which it begins.
        line: usize,
    },
    /// The file ends within a record or an array.
    #[error(
        "the record or array in line {line} does not end: the file is cut off, or there a quotation mark or bracket is missing"
    )]
    CutOff {
        /// The line in which it begins.
        line: usize,
    },
}

/// The records of a file: each object at the top, or in an array at the top.
#[derive(Debug)]
pub struct RecordFile<R> {
    input: BufReader<R>,
    /// What is left of a byte order mark, which may come first.
    mark: &'static [u8],
    /// The current line, counted from 1.
    line: usize,
    /// The line in which the current array begins.
    array: Option<usize>,
    /// Whether a record of the array has been read, so that a comma or the end of the array must follow.
    is_after_record: bool,
    has_ended: bool,
}

impl<R: Read> RecordFile<R> {
    /// Reads nothing yet.
    pub fn new(input: R) -> Self {
        let input = BufReader::with_capacity(1 << 16, input);
        Self { input, mark: BYTE_ORDER_MARK, line: 1, array: None, is_after_record: false, has_ended: false }
    }

    fn next_record(&mut self) -> Result<Option<Value>, RecordFileError> {
        loop {
            let Some(byte) = self.skip_blanks()? else {
                return self.array.map_or(Ok(None), |line| Err(RecordFileError::CutOff { line }));
            };
            match (byte, self.array, self.is_after_record) {
                (b'{', None, _) | (b'{', Some(_), false) => {
                    self.is_after_record = true;
                    return self.object().map(Some);
                }
                (b'[', None, _) => (self.array, self.is_after_record) = (Some(self.line), false),
                (b']', Some(_), _) => self.array = None,
                (b',', Some(_), true) => self.is_after_record = false,
                (_, None, _) => return Err(self.not_a_record("an object or an array of objects")),
                (_, Some(_), true) => return Err(self.not_a_record("a comma or the end of the array")),
                (_, Some(_), false) => return Err(self.not_a_record("an object")),
            }
            self.input.consume(1);
        }
    }

    fn not_a_record(&self, expected: &'static str) -> RecordFileError {
        RecordFileError::NotARecord { line: self.line, expected }
    }

    /// The next byte that is not blank. It is not consumed.
    fn skip_blanks(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.input.fill_buf()?;
            let Some(&first) = buffer.first() else { return Ok(None) };
            let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += lines(&buffer[..blanks]);
            match self.mark {
                [of_mark, rest @ ..] if *of_mark == first => {
                    self.mark = rest;
                    self.input.consume(1);
                }
                _ if blanks == 0 => return Ok(Some(first)),
                _ => self.input.consume(blanks),
            }
        }
    }

    /// The object that begins at the next byte.
    fn object(&mut self) -> Result<Value, RecordFileError> {
        let (line, mut bytes, mut end) = (self.line, vec![], ObjectEnd::default());
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Err(RecordFileError::CutOff { line });
            }
            let last = buffer.iter().position(|byte| end.is_at(*byte));
            let part = &buffer[..last.map_or(buffer.len(), |last| last + 1)];
            self.line += lines(part);
            bytes.extend_from_slice(part);
            let length = part.len();
            self.input.consume(length);
            if bytes.len() > RECORD_BYTES_MAX {
                return Err(RecordFileError::TooLong { line });
            }
            if last.is_some() {
                return parse_json(&bytes).ok_or(RecordFileError::NotJson { line });
            }
        }
    }
}

impl<R: Read> Iterator for RecordFile<R> {
    type Item = Result<Value, RecordFileError>;

    /// After an error there are no more records.
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let record = self.next_record().transpose();
        self.has_ended = !matches!(record, Some(Ok(_)));
        record
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// Finds the end of an object by counting braces outside of strings. The parser finds all other mistakes.
#[derive(Default)]
struct ObjectEnd {
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl ObjectEnd {
    /// Whether the object ends with this byte.
    fn is_at(&mut self, byte: u8) -> bool {
        if self.is_in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.is_in_string = true,
            b'{' => self.depth += 1,
            b'}' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Returns one byte per call, as a slow pipe may.
    struct ByteByByte<'a>(&'a [u8]);

    impl Read for ByteByByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    /// The records up to the first error, and the error.
    fn read(text: &str) -> (Vec<Value>, Option<String>) {
        let all = |input: &mut dyn Read| {
            let (mut records, mut error) = (vec![], None);
            for record in RecordFile::new(input) {
                match record {
                    Ok(record) => records.push(record),
                    Err(problem) => error = Some(problem.to_string()),
                }
            }
            (records, error)
        };
        let read = all(&mut text.as_bytes());
        assert_eq!(all(&mut ByteByByte(text.as_bytes())), read);
        read
    }

    #[rstest]
    #[case::nothing("", &[])]
    #[case::blanks(" \r\n\t", &[])]
    #[case::lines("{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", &[1, 2, 3])]
    #[case::on_one_line(r#"{"a":1}{"a":2}"#, &[1, 2])]
    #[case::an_array("[\n  {\"a\": 1},\n  {\"a\": 2}\n]\n", &[1, 2])]
    #[case::an_empty_array("[]", &[])]
    #[case::several_arrays("[{\"a\":1}]\n[{\"a\":2}]", &[1, 2])]
    #[case::a_byte_order_mark("\u{feff}{\"a\":1}", &[1])]
    fn records(#[case] text: &str, #[case] expected: &[u64]) {
        let expected = expected.iter().map(|number| json!({ "a": number })).collect();
        assert_eq!(read(text), (expected, None));
    }

    #[test]
    fn braces_and_quotes_in_texts_are_no_ends() {
        let record = json!({ "a}": "{\"\\", "b": { "c": ["}", "\\\""] }, "d": "ä" });
        let pretty = serde_json::to_string_pretty(&record).unwrap();
        assert_eq!(read(&format!("{record}\n{pretty}")), (vec![record.clone(), record], None));
    }

    const CUT_OFF: &str = "the record or array in line 2 does not end: the file is cut off, or there a quotation mark or bracket is missing";

    #[rstest]
    #[case::a_word("{\"a\":1}\nnull", "in line 2, an object or an array of objects is expected")]
    #[case::a_mistake_within("{\"a\":1}\n{\"a\":}", "the record in line 2 is not JSON")]
    #[case::a_number_in_an_array("[{\"a\":1},\n2]", "in line 2, an object is expected")]
    #[case::an_array_in_an_array("[{\"a\":1},[]]", "in line 1, an object is expected")]
    #[case::no_comma("[{\"a\":1}\n{}]", "in line 2, a comma or the end of the array is expected")]
    #[case::cut_off("{\"a\":1}\n{\"a\":", CUT_OFF)]
    #[case::cut_off_in_a_text("{\"a\":1}\n{\"a\":\"}", CUT_OFF)]
    #[case::a_cut_off_array("\n[{\"a\":1},", CUT_OFF)]
    fn the_rest_is_not_read(#[case] text: &str, #[case] error: &str) {
        assert_eq!(read(text), (vec![json!({ "a": 1 })], Some(error.to_owned())));
    }

    #[test]
    fn a_record_without_an_end_does_not_fill_the_memory() {
        let endless = b"{\"a\":\"".chain(io::repeat(b'a'));
        let error = RecordFile::new(endless).next().unwrap().unwrap_err();
        assert!(matches!(error, RecordFileError::TooLong { line: 1 }), "{error}");
    }
}
