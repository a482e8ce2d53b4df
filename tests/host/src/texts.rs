//! The texts that every device and the host must encode to the same bits, and the file that carries them.

/// Sentences of many scripts, and pieces that a normaliser or a tokeniser may trip over.
const PIECES: &[&str] = &[
    "The quick brown fox jumps over the lazy dog.",
    "Turn on the lights in the kitchen, please!",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Voix ambiguë d’un cœur qui au zéphyr préfère les jattes de kiwis.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Съешь же ещё этих мягких французских булок.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "আমি বাংলায় গান গাই",
    "தமிழ் மொழி மிகவும் பழமையானது",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "天地玄黃,宇宙洪荒。",
    "色は匂へど散りぬるを",
    "키스의 고유조건은 입술끼리 만나야 한다",
    "ქართული ენა",
    "Հայերեն լեզու",
    "አማርኛ ፊደል",
    "ᚠᛇᚻ᛫ᛒᛦᚦ᛫ᚠᚱᚩᚠᚢᚱ",
    "😀 😃 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️",
    "𝒽𝑒𝓁𝓁𝑜 𝕨𝕠𝕣𝕝𝕕 𠜎𠜱𠝹",
    "e\u{301}e\u{300}o\u{308}\u{304} a\u{323}\u{302}",
    "\u{301}\u{302}\u{303} marks without a letter",
    "İstanbul ıspanak ſtraße ẞ K Å ﬁ ﬂ ǅ",
    "tab\tnewline\nreturn\rvertical\u{b}feed\u{c}nel\u{85}end",
    "nbsp\u{a0}ogham\u{1680}em\u{2003}line\u{2028}para\u{2029}ideographic\u{3000}end",
    "zero\u{200b}width\u{200d}joiner\u{2060}word\u{feff}bom\u{ad}soft",
    "right\u{200f}to\u{202e}left\u{202c}marks\u{2066}isolate\u{2069}",
    "null\u{0}bell\u{7}escape\u{1b}delete\u{7f}c1\u{9b}end",
    "private\u{e000}use\u{f8ff}noncharacter\u{fffe}\u{ffff}\u{10ffff}",
    "replacement \u{fffd} character",
    "[UNK]",
    "[CLS] text [SEP] more [PAD] [MASK]",
    "a[UNK]b [unk] [ UNK ]",
    "##ing ##s # ## ### playing",
    "don't can't we'll I'm \u{2019}tis",
    "3.14159 1,000,000 2024-11-24 +49 (0)30 123456",
    "user@example.com https://example.com/a/b?c=d&e=f#g",
    "let x = vec![1, 2, 3]; // comment",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "¡¿«»‹›„“”‚‘’–—…·•†‡§¶©®™°±×÷€£¥",
    "ALL CAPS AND MiXeD cAsE",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "   leading and trailing   ",
    " ",
    "\n",
    ".",
    "a",
    "é",
    "字",
    "",
];

/// Byte strings that are not UTF-8: the byte interface reads what is wrong as U+FFFD.
const NOT_UTF8: &[&[u8]] = &[
    b"\xff",
    b"\xfe\xff",
    b"\x80",
    b"\xbf\xbf\xbf",
    b"\xc0\x80",
    b"\xc1\xbf overlong",
    b"\xc3",
    b"caf\xc3",
    b"\xc3(",
    b"\xe2\x82",
    b"\xe2\x82 cut",
    b"\xe0\x80\x80 overlong",
    b"\xed\xa0\x80 surrogate",
    b"\xed\xbf\xbf",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98 \xf0\x9f \xf0",
    b"\xf0\x80\x80\x80 overlong",
    b"\xf4\x90\x80\x80 above the last",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80 five bytes",
    b"good \xff bad \xfe good",
    b"latin1 caf\xe9 na\xefve",
    b"\xef\xbb\xbfbyte order mark",
    b"word\xffword",
];

/// A small generator (xorshift), so that the texts are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }
}

/// All the texts, always the same ones in the same order.
pub fn texts() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = PIECES.iter().map(|text| text.as_bytes().to_vec()).collect();
    texts.extend(NOT_UTF8.iter().map(|bytes| bytes.to_vec()));

    let sentence = "A text of five thousand characters repeats a sentence, then it is cut. ";
    texts.push(sentence.bytes().cycle().take(5000).collect());
    texts.push(
        "ü字é😀"
            .chars()
            .cycle()
            .take(5000)
            .collect::<String>()
            .into_bytes(),
    );
    texts.push(b"abcdefghij".repeat(30));
    texts.push("äöü".repeat(100).into_bytes());
    texts.push(b" \t\r\n".repeat(200));
    for letters in [99, 100, 101, 127, 128, 129, 199, 200, 201] {
        texts.push(b"ab".iter().copied().cycle().take(letters).collect());
    }

    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..60 {
        let count = 1 + random.below(4);
        let words: Vec<&str> = (0..count)
            .map(|_| PIECES[random.below(PIECES.len())])
            .collect();
        texts.push(words.join([" ", "", "\n"][random.below(3)]).into_bytes());
    }
    for _ in 0..40 {
        let scalars = (0..1 + random.below(24)).filter_map(|_| {
            // Most scalar values are unassigned or ideographs: half of the draws stay low.
            let bound = if random.below(2) == 0 {
                0x3000
            } else {
                0x11_0000
            };
            char::from_u32(random.below(bound) as u32)
        });
        texts.push(scalars.collect::<String>().into_bytes());
    }
    for _ in 0..30 {
        texts.push(
            (0..random.below(64))
                .map(|_| random.below(256) as u8)
                .collect(),
        );
    }
    texts
}

/// Writes texts as the device reads them: a count, then a length and bytes for each, little-endian `u32`s.
pub fn to_file(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut file = length(texts.len()).to_vec();
    for text in texts {
        file.extend(length(text.len()));
        file.extend(text);
    }
    file
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("texts are short").to_le_bytes()
}

/// Reads what [`to_file`] wrote; `None` where the file is cut short or goes on.
pub fn from_file(mut file: &[u8]) -> Option<Vec<Vec<u8>>> {
    let count = take_length(&mut file)?;
    let texts = (0..count).map(|_| {
        let len = take_length(&mut file)?;
        file.split_off(..len).map(<[u8]>::to_vec)
    });
    let texts = texts.collect::<Option<Vec<_>>>()?;
    file.is_empty().then_some(texts)
}

fn take_length(file: &mut &[u8]) -> Option<usize> {
    let bytes = file.split_off(..4)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gives_the_texts_back() {
        let texts = texts();
        assert!(texts.len() >= 200);
        let file = to_file(&texts);
        assert_eq!(from_file(&file), Some(texts));
        assert_eq!(from_file(&file[..file.len() - 1]), None);
        assert_eq!(from_file(&[file, vec![0]].concat()), None);
    }
}
