package redact

// The quick test that decides which patterns are tried on a text. There are a hundred signs; one walk over the text
// looks for all of them.

// A sign is a text in lower case, and the patterns that need it.
type sign struct {
	text     string
	patterns uint64
}

var (
	signsByStart = make(map[uint16][]sign)
	signStarts   [1 << 16 / 64]uint64 // the set of signsByStart's keys
	signsOfOne   [256]uint64          // signs of a single octet
)

func init() {
	bit := uint64(1)
	for _, all := range [][]pattern{patterns, named} {
		for i := range all {
			p := &all[i]
			p.bit = bit
			bit <<= 1
			signs := p.signs
			if signs == nil {
				signs = nameSigns
			}
			for _, text := range signs {
				addSign(text, p.bit)
			}
		}
	}
}

func addSign(text string, patterns uint64) {
	if len(text) == 1 {
		signsOfOne[text[0]] |= patterns
		return
	}
	start := startAt(text, 0)
	signStarts[start/64] |= 1 << (start % 64)
	some := signsByStart[start]
	for i := range some {
		if some[i].text == text {
			some[i].patterns |= patterns
			return
		}
	}
	signsByStart[start] = append(some, sign{text, patterns})
}

// signsIn returns the patterns that have a sign in text.
func signsIn(text string) (patterns uint64) {
	for i := range len(text) {
		patterns |= signsOfOne[text[i]]
		if i+1 == len(text) {
			break
		}
		start := uint16(lower(text[i]))<<8 | uint16(lower(text[i+1]))
		if signStarts[start/64]&(1<<(start%64)) == 0 {
			continue
		}
		for _, s := range signsByStart[start] {
			if s.patterns&^patterns != 0 && hasPrefixFold(text[i:], s.text) {
				patterns |= s.patterns
			}
		}
	}
	return patterns
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// hasPrefixFold reports whether text begins with prefix, which is in lower case.
func hasPrefixFold(text, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lower(text[i]) != prefix[i] {
			return false
		}
	}
	return true
}
