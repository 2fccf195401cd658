/*
 * make.js - cases.json: small tokenizers, each with one of the parts that a tokenizer.json
 * can have, and the ids that Hugging Face's tokenizers gives for some texts.
 *
 *   node make.js > cases.json   (with the package tokenizers 0.23)
 *
 * Written from scratch here: the vocabularies are merges counted on the paragraph below.
 */
const {Tokenizer} = require('tokenizers');

const corpus = `The house stands on the hill above the sea. In the morning the fishermen go out
with the tide, and in the evening they come home with the wind. The children's boats don't go
far; they're made of paper and they'll sink. We've seen 12 of them in 2024, I'm told, and 365
more the year before that. She said it's nothing, he said: "that's the thing, the thing itself".`;

/* GPT-2's bytes_to_unicode. */
const byteChar = [];
{
    let next = 0x100;
    for (let b = 0; b < 256; b++) {
        const own = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        byteChar.push(String.fromCodePoint(own ? b : next++));
    }
}
const toByteChars = s => [...Buffer.from(s)].map(b => byteChar[b]).join('');

/* n merges by count over words (each a list of symbols), the first of equals. */
function learn(words, vocab, n) {
    const merges = [];
    words = words.map(w => [...w]);
    for (const w of words) for (const c of w) if (!(c in vocab)) vocab[c] = Object.keys(vocab).length;
    while (merges.length < n) {
        const count = new Map();
        for (const w of words)
            for (let i = 0; i + 1 < w.length; i++) {
                const k = w[i] + '\u0000' + w[i + 1];
                count.set(k, (count.get(k) || 0) + 1);
            }
        let best = null;
        for (const [k, c] of count) if (c > 1 && (!best || c > count.get(best))) best = k;
        if (!best) break;
        const [a, b] = best.split('\u0000');
        merges.push([a, b]);
        if (!(a + b in vocab)) vocab[a + b] = Object.keys(vocab).length;
        words = words.map(w => {
            const out = [];
            for (let i = 0; i < w.length; i++)
                if (i + 1 < w.length && w[i] === a && w[i + 1] === b) { out.push(a + b); i++; }
                else out.push(w[i]);
            return out;
        });
    }
    return merges;
}

function bytesModel() {
    const vocab = {};
    byteChar.forEach((c, b) => { vocab[c] = b; });
    const words = corpus.match(/ ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+/g).map(toByteChars);
    const merges = learn(words, vocab, 90);
    /* runs of spaces and of newlines, as real ones have */
    const g = byteChar[0x20], nl = byteChar[0x0a];
    for (const [a, b] of [[g, g], [g + g, g + g], [nl, nl]]) {
        merges.push([a, b]);
        vocab[a + b] = Object.keys(vocab).length;
    }
    vocab['xyzzy'] = Object.keys(vocab).length; /* whole, without merges that lead there */
    return {type: 'BPE', dropout: null, unk_token: null, vocab, merges};
}

function piecesModel() {
    const vocab = {'<unk>': 0, '<s>': 1, '</s>': 2};
    for (let b = 0; b < 256; b++)
        vocab['<0x' + b.toString(16).toUpperCase().padStart(2, '0') + '>'] = 3 + b;
    const words = corpus.replace(/\n/g, ' ').split(' ').map(w => '\u2581' + w);
    const merges = learn(words, vocab, 90);
    for (const [a, b] of [['\u2581', '\u2581'], ['\u2581\u2581', '\u2581\u2581']]) {
        merges.push([a, b]);
        vocab[a + b] = Object.keys(vocab).length;
    }
    return {type: 'BPE', dropout: null, unk_token: '<unk>', fuse_unk: true, byte_fallback: true,
            vocab, merges};
}

/* Whole words with a suffix, or with a prefix inside of words; no bytes. */
function affixModel(prefix, suffix) {
    const vocab = {'<unk>': 0};
    const words = corpus.split(/\s+/).map(w =>
        [...w].map((c, i, all) => (i ? prefix : '') + c + (i + 1 === all.length ? suffix : '')));
    for (const w of words) for (const c of w) if (!(c in vocab)) vocab[c] = Object.keys(vocab).length;
    const merges = [];
    for (const [a, b] of [['t', 'h'], ['th', 'e'], ['i', 'n'], ['T', 'h']]) {
        const left = a, right = prefix + b + (b === 'e' ? suffix : '');
        const both = left + b + (b === 'e' ? suffix : '');
        if (!(left in vocab) || !(right in vocab)) continue;
        vocab[both] = Object.keys(vocab).length;
        merges.push([left, right]);
    }
    return {type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: prefix || null,
            end_of_word_suffix: suffix || null, vocab, merges};
}

const models = {
    bytes: bytesModel(),
    pieces: piecesModel(),
    suffix: affixModel('', '</w>'),
    prefix: affixModel('##', ''),
};

const byteLevel = {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true};
const noRegex = {...byteLevel, use_regex: false};
const split = (Regex, behavior = 'Isolated', invert = false) =>
    ({type: 'Split', pattern: {Regex}, behavior, invert});
const sequence = (...pretokenizers) => ({type: 'Sequence', pretokenizers});
const normalizers = (...list) => ({type: 'Sequence', normalizers: list});
const added = (id, content, more = {}) => ({id, content, single_word: false, lstrip: false,
    rstrip: false, normalized: false, special: true, ...more});
const metaspace = (prepend_scheme, split) =>
    ({type: 'Metaspace', replacement: '\u2581', prepend_scheme, split});
const replace = (pattern, content) => ({type: 'Replace', pattern, content});

const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const o200k = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const deepseek = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const template = ids => ({type: 'TemplateProcessing',
    single: [...ids.map(([name]) => ({SpecialToken: {id: name, type_id: 0}})),
             {Sequence: {id: 'A', type_id: 0}}],
    pair: [{Sequence: {id: 'A', type_id: 0}}, {Sequence: {id: 'B', type_id: 1}}],
    special_tokens: Object.fromEntries(ids.map(([name, id]) =>
        [name, {id: name, ids: [id], tokens: [name]}]))});

const end = Object.keys(models.bytes.vocab).length;
const tokenizers = [
    {name: 'gpt2', model: 'bytes', pre_tokenizer: byteLevel,
     added_tokens: [added(end, '<|end|>', {normalized: true})]},
    {name: 'gpt2 with a space in front', model: 'bytes', added_tokens: [added(end, '<|end|>')],
     pre_tokenizer: {...byteLevel, add_prefix_space: true}},
    {name: 'neox', model: 'bytes', normalizer: {type: 'NFC'}, pre_tokenizer: byteLevel,
     added_tokens: [added(end, '<|end|>'), added(end + 1, '   ', {special: false, normalized: true}),
                    added(end + 2, '  ', {special: false, normalized: true})]},
    {name: 'llama3', model: 'bytes', options: {ignore_merges: true},
     pre_tokenizer: sequence(split(llama3), noRegex),
     added_tokens: [added(end, '<|begin|>'), added(end + 1, '<|end|>')],
     post_processor: {type: 'Sequence', processors: [{...byteLevel, trim_offsets: false},
                                                    template([['<|begin|>', end]])]}},
    {name: 'o200k', model: 'bytes', pre_tokenizer: sequence(split(o200k), noRegex)},
    {name: 'deepseek', model: 'bytes', pre_tokenizer: sequence(split('[\\r\\n]'),
        split('\\s?[A-Za-z\u00b5\u00c0-\u00d6]+'), split('\\s?[!-/:-~\uff01-\uff0f]+'), split('\\s+$'),
        split('[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'), {type: 'Digits', individual_digits: true}, noRegex)},
    {name: 'deepseek 3', model: 'bytes', pre_tokenizer: sequence(split('\\p{N}{1,3}'),
        split('[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+'), split(deepseek), noRegex)},
    {name: 'digits together', model: 'bytes',
     pre_tokenizer: sequence({type: 'Digits', individual_digits: false}, byteLevel)},
    {name: 'words and not words', model: 'bytes',
     pre_tokenizer: sequence(split('\\w+\\b|\\W\\S?', 'Removed', true), noRegex)},
    {name: 'no word inside', model: 'bytes', pre_tokenizer: sequence(split('\\B|\\d+|\\h{2}'), noRegex)},
    {name: 'bracket classes', model: 'bytes',
     pre_tokenizer: sequence(split('[[:space:]]+|[[:alpha:]]{,3}|[^\\S\\n]|[\\d\\w]'), noRegex)},
    {name: 'removed', model: 'bytes', pre_tokenizer: sequence(split('[aeiou ]+', 'Removed'), noRegex)},
    {name: 'previous', model: 'bytes',
     pre_tokenizer: sequence(split('[aeiou ]', 'MergedWithPrevious'), noRegex)},
    {name: 'next', model: 'bytes', pre_tokenizer: sequence(split('[aeiou ]', 'MergedWithNext'), noRegex)},
    {name: 'contiguous', model: 'bytes', pre_tokenizer: sequence(split('[aeiou ]', 'Contiguous'), noRegex)},
    {name: 'string', model: 'bytes', pre_tokenizer: sequence(
        {type: 'Split', pattern: {String: 'the.'}, behavior: 'Isolated', invert: false}, noRegex)},
    {name: 'punctuation', model: 'bytes',
     pre_tokenizer: sequence({type: 'Punctuation', behavior: 'Contiguous'}, noRegex)},
    {name: 'whitespace', model: 'bytes', pre_tokenizer: sequence({type: 'Whitespace'}, noRegex)},
    {name: 'whitespace split', model: 'bytes', pre_tokenizer: sequence({type: 'WhitespaceSplit'}, noRegex)},
    {name: 'bert', model: 'bytes', pre_tokenizer: sequence({type: 'BertPreTokenizer'}, noRegex)},
    {name: 'delimiter', model: 'bytes',
     pre_tokenizer: sequence({type: 'CharDelimiterSplit', delimiter: 'e'}, noRegex)},
    {name: 'fixed length', model: 'bytes', pre_tokenizer: sequence({type: 'FixedLength', length: 3}, noRegex)},
    {name: 'bytes by normalizer', model: 'bytes', normalizer: {type: 'ByteLevel'}, pre_tokenizer: null,
     added_tokens: [added(end, ' the', {special: false, normalized: true}), added(end + 1, '<|end|>')]},
    {name: 'nfd', model: 'bytes', normalizer: {type: 'NFD'}, pre_tokenizer: byteLevel},
    {name: 'nfkc', model: 'bytes', normalizer: {type: 'NFKC'}, pre_tokenizer: byteLevel},
    {name: 'nfkd', model: 'bytes', normalizer: {type: 'NFKD'}, pre_tokenizer: byteLevel},
    {name: 'lower case', model: 'bytes', normalizer: {type: 'Lowercase'}, pre_tokenizer: byteLevel,
     added_tokens: [added(end, 'THE', {special: false, normalized: true})]},
    {name: 'no accents', model: 'bytes', pre_tokenizer: byteLevel,
     normalizer: normalizers({type: 'NFD'}, {type: 'StripAccents'})},
    {name: 'nmt', model: 'bytes', normalizer: {type: 'Nmt'}, pre_tokenizer: byteLevel},
    {name: 'bert normalizer', model: 'bytes', pre_tokenizer: byteLevel,
     normalizer: {type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true,
                  strip_accents: null, lowercase: true}},
    {name: 'stripped', model: 'bytes', pre_tokenizer: byteLevel,
     normalizer: {type: 'Strip', strip_left: true, strip_right: false}},
    {name: 'replaced', model: 'bytes', pre_tokenizer: byteLevel,
     normalizer: normalizers(replace({Regex: '(?<=a)n|\\s{2,}'}, '*'), replace({String: 'e.'}, 'X'))},
    {name: 'llama2', model: 'pieces', normalizer: normalizers({type: 'Prepend', prepend: '\u2581'},
        replace({String: ' '}, '\u2581')), pre_tokenizer: null, post_processor: template([['<s>', 1]]),
     added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')]},
    {name: 'llama2, normalized tokens', model: 'pieces', normalizer: normalizers(
        {type: 'Prepend', prepend: '\u2581'}, replace({String: ' '}, '\u2581')), pre_tokenizer: null,
     added_tokens: [added(1, '<s>', {normalized: true}), added(2, '</s>', {rstrip: true})]},
    {name: 'gemma', model: 'pieces', normalizer: replace({String: ' '}, '\u2581'),
     pre_tokenizer: {type: 'Split', pattern: {String: ' '}, behavior: 'MergedWithPrevious', invert: false},
     added_tokens: [added(1, '<s>'), added(Object.keys(models.pieces.vocab).length, '\n\n', {special: false})],
     post_processor: template([['<s>', 1]])},
    {name: 'metaspace always', model: 'pieces', pre_tokenizer: metaspace('always', true),
     added_tokens: [added(1, '<s>')]},
    {name: 'metaspace first', model: 'pieces', pre_tokenizer: metaspace('first', false),
     added_tokens: [added(1, '<s>')]},
    {name: 'metaspace never', model: 'pieces', pre_tokenizer: metaspace('never', true),
     added_tokens: [added(1, '<s>')]},
    {name: 'unknown fused', model: 'pieces', options: {byte_fallback: false},
     pre_tokenizer: metaspace('always', true)},
    {name: 'unknown alone', model: 'pieces', options: {byte_fallback: false, fuse_unk: false},
     pre_tokenizer: metaspace('always', true)},
    {name: 'unknown lost', model: 'pieces', options: {byte_fallback: false, unk_token: null},
     pre_tokenizer: metaspace('always', true)},
    {name: 'suffix', model: 'suffix', pre_tokenizer: {type: 'WhitespaceSplit'}},
    {name: 'prefix', model: 'prefix', pre_tokenizer: {type: 'WhitespaceSplit'}},
    {name: 'added, all kinds', model: 'bytes', pre_tokenizer: byteLevel,
     added_tokens: [added(end, '<|end|>', {lstrip: true}), added(end + 1, '<|end|><|', {rstrip: true}),
                    added(end + 2, 'the', {special: false, single_word: true}),
                    added(end + 3, 'thing', {special: false, normalized: true, lstrip: true, rstrip: true}),
                    added(end + 4, '\u00e9', {special: false})]},
];

const texts = [
    '', ' ', '  ', '   ', '\n', '\n\n', ' \n ', '\t \u00a0\u2003x', 'the', ' the', 'the the', 'xyzzy',
    "The children's boats don't go, I'M TOLD: WE'LL see 's 't", 'it\u2019s',
    '  two  spaces   three    four', 'a\n\nb\n \n c\r\n\r\nd\u0085e\u2028f', 'a \u180e b\u200bc\ufeffd',
    '12 365 2024 1234567 \u0663\u0664 \u00bd \u2167', 'caf\u00e9 cafe\u0301 \u00c5 A\u030a \ufb01 \u212b \u1e9b\u0323',
    '\u0130stanbul STRASSE \u03a3\u03a3 \u01c5', '\u4e16\u754c\u306e\u300c\u30c6\u30b9\u30c8\u300d\uff01\uac00\uac01',
    '\u{1f600}\u{1f469}\u200d\u{1f52c} \u{1d518}', '<|end|>', 'x<|end|>y', 'x  <|end|>  y <|end|><|end|> <|begin|>the',
    '<|end|><|  the<|end', '<s>Hello</s>  the <s> </s>', '<unk><0x0A> \u2581the\u2581 \u2581\u2581', 'theme other the, the', 'some thing  thing else',
    'T\u0000U\u0001\u007f\u009f', '[a] {b} (c) $5 + 3 = 8 `x` ~ ^ | < > \u00ab\u2014\u00bb', 'for (int i = 0; i < n; i++) {\n\tx[i] /= 2;\n}\n',
    'aAbBanan an  an', 'e.e. the. The.', '\u00e9\u00e9 e\u0301', 'THE The the\u0301', '\u24d0\u24d1_\u203f x\u0301y \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947',
    'a'.repeat(70) + ' ' + 'the'.repeat(30), ' '.repeat(33) + 'x', '\uff01\u00b5m \u00c0\u00d6', '\u017fs \u2126\u212a',
];

/* Random texts, always the same. */
let seed = 12345;
const random = n => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0, Math.floor(seed / 65536) % n);
const parts = ['the', ' ', '  ', '\n', "'s", 'THE', 'thing', '<|end|>', '<s>', 'e', '.', '12', '\u00e9', 'e\u0301', '\u4e16', '\u2581',
    '\u00a0', '\u{1f600}', '\t', 'n\u0303', '_', '-', '\u3000', 'in ', ' a', 'xyzzy', '\r\n', '\u0085', '\u0345', '\u0130'];
for (let i = 0; i < 12; i++) {
    let text = '';
    for (let k = 3 + random(14); k > 0; k--) text += parts[random(parts.length)];
    texts.push(text);
}

async function main() {
    const out = {models, tokenizers: []};
    for (const t of tokenizers) {
        const file = {version: '1.0', truncation: null, padding: null, added_tokens: t.added_tokens || [],
                      normalizer: t.normalizer || null, pre_tokenizer: t.pre_tokenizer,
                      post_processor: t.post_processor || null, decoder: null,
                      model: {...models[t.model], ...t.options}};
        const tk = Tokenizer.fromString(JSON.stringify(file));
        const ids = async (text, special) =>
            (await tk.encode(text, null, {addSpecialTokens: special})).getIds();
        const plain = await ids('x', false), full = await ids('x', true);
        const cases = [];
        for (const text of texts) cases.push([text, await ids(text, false)]);
        const {name, model, options = {}, added_tokens = [], normalizer = null, pre_tokenizer = null,
               post_processor = null} = t;
        out.tokenizers.push({name, model, options, added_tokens, normalizer, pre_tokenizer, post_processor,
                             bos: full.slice(0, full.length - plain.length), cases});
    }
    /* a case a line */
    const list = out.tokenizers.map(t => {
        const cases = t.cases.map(c => '   ' + JSON.stringify(c)).join(',\n');
        const {cases: _, ...head} = t;
        return '  {' + JSON.stringify(head).slice(1, -1) + ', "cases": [\n' + cases + ']}';
    });
    process.stdout.write('{"models": ' + JSON.stringify(out.models) + ',\n "tokenizers": [\n' + list.join(',\n') + ']}\n');
}
main();
