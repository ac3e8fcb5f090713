package resolvconf

import (
	"os"
	"slices"
	"strings"
)

// AsksDNS reports whether, by that file, glibc and Go query nameservers at all: nsswitch.conf(5).
func AsksDNS(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 && words[0] == "hosts:" {
			return slices.Contains(words, "dns")
		}
	}
	return true
}
