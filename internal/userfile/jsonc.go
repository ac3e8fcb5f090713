package userfile

// WithoutComments returns the text of a JSON file without what editors and agents allow in one (JSONC): comments, which
// become spaces, and a comma before a closing bracket. Text that is no JSON even so stays none.
func WithoutComments(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	comma := -1 // the index in plain of a comma that nothing but space follows
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			end := stringEnd(text, i)
			plain = append(plain, text[i:end]...)
			i, comma = end-1, -1
			continue
		case c == '/' && i+1 < len(text) && (text[i+1] == '/' || text[i+1] == '*'):
			i = commentEnd(text, i) - 1
			plain = append(plain, ' ')
			continue
		case c == ',':
			comma = len(plain)
		case c == '}' || c == ']':
			if comma >= 0 {
				plain[comma] = ' '
			}
			comma = -1
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			comma = -1
		}
		plain = append(plain, text[i])
	}
	return plain
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// commentEnd returns the index after the comment that begins at i; the end of its line does not belong to it.
func commentEnd(text []byte, i int) int {
	isBlock := text[i+1] == '*'
	for i += 2; i < len(text); i++ {
		switch {
		case isBlock && text[i] == '*' && i+1 < len(text) && text[i+1] == '/':
			return i + 2
		case !isBlock && text[i] == '\n':
			return i
		}
	}
	return len(text)
}
