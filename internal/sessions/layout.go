package sessions

import "path/filepath"

// A Home is a directory with the session files of one agent.
type Home struct {
	Agent string // "codex", "claude" or "opencode"
	Dir   string
}

// A tree is where an agent keeps files of one kind: directories that match a pattern each, and files below them.
type tree struct {
	levels []string // of directories below the home, as for filepath.Match
	files  string
	made   func() parser
	head   bool // the first lines tell how to read the later ones
}

// trees are the files that are read. No other file of an agent is opened: histories, indexes and databases hold prompts
// and nothing that counts here.
var trees = map[string][]tree{
	"codex": {
		{levels: []string{"sessions", "[0-9][0-9][0-9][0-9]", "[0-9][0-9]", "[0-9][0-9]"}, files: "rollout-*.jsonl",
			made: func() parser { return new(rollout) }, head: true},
		{levels: []string{"log"}, files: "codex-tui.log", made: func() parser { return codexLog{} }},
	},
	"claude": {
		{levels: []string{"projects", "*"}, files: "*.jsonl", made: func() parser { return transcript{} }},
	},
	"opencode": {
		{levels: []string{"log"}, files: "opencode.log", made: func() parser { return opencodeLog{} }},
	},
}

// matches reports whether name has the form of pattern. All patterns are valid.
func matches(pattern, name string) bool {
	ok, _ := filepath.Match(pattern, name)
	return ok
}
