package codexconf

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Paths lists the files from which codex takes its settings. The first ones win.
func (s Setup) Paths() []string {
	files := []string{filepath.Join(s.System, "requirements.toml"), filepath.Join(s.System, "managed_config.toml")}
	if s.Home != "" {
		files = append(files, filepath.Join(s.Home, "config.toml"))
	}
	return append(files, filepath.Join(s.System, "config.toml"))
}

// settingNames find the setting that a message complains about. A message with a path has named its file already.
var settingNames = []struct {
	words *regexp.Regexp
	name  string // expanded with the groups of words
}{
	{regexp.MustCompile(`required MCP servers failed to initialize: ([\w-]+):`), "mcp_servers.$1"},
	{regexp.MustCompile("Model provider `[^`]*` not found"), "model_provider"},
	{regexp.MustCompile("config profile `[^`]*` not found"), "profile"},
	{regexp.MustCompile("\\bin `([\\w.-]+)`"), "$1"}, // 0.169: unknown variant `full`, expected … in `sandbox_mode`
	{regexp.MustCompile("(?:^Error: |`)([a-z_]+) = "), "$1"},
	{regexp.MustCompile("^Error: `([\\w.-]+)`"), "$1"},
}

var namesPath = regexp.MustCompile(`/\S*\.toml\b`)

// Locate puts the location of the setting that message complains about before it, if message does not name it
// and one of files has it.
func Locate(message string, files []string) string {
	if namesPath.MatchString(message) {
		return message
	}
	for _, s := range settingNames {
		m := s.words.FindStringSubmatchIndex(message)
		if m == nil {
			continue
		}
		name := string(s.words.ExpandString(nil, s.name, message, m))
		for _, file := range files {
			if line := lineOfSetting(file, name); line != 0 {
				return file + ":" + strconv.Itoa(line) + ": " + message
			}
		}
	}
	return message
}

// configLimit bounds what is read of a configuration file: it is the user's, and may be anything.
const configLimit = 1 << 20

// lineOfSetting returns the line of file that sets name, as a key or as a table, or 0. It reads no TOML: the file may
// be what codex refuses to read.
func lineOfSetting(file, name string) int {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() { // a FIFO would hold up the probe
		return 0
	}
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	table, key, dotted := cutLast(name)
	current := ""
	lines := bufio.NewScanner(io.LimitReader(f, configLimit))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if header, ok := strings.CutPrefix(line, "["); ok {
			header, _, _ = strings.Cut(strings.Trim(header, "["), "]")
			current = strings.ReplaceAll(strings.ReplaceAll(header, `"`, ""), " ", "")
			if current == name {
				return n
			}
			continue
		}
		left, _, isSetting := strings.Cut(line, "=")
		left = strings.Trim(strings.TrimSpace(left), `"`)
		if !isSetting {
			continue
		}
		if left == name && current == "" || left == key && current == table && dotted {
			return n
		}
		if !dotted && left == name { // a profile may set it, too
			return n
		}
	}
	return 0
}

// cutLast splits "mcp_servers.slow.command" into the table and its key.
func cutLast(name string) (table, key string, dotted bool) {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "", name, false
	}
	return name[:at], name[at+1:], true
}
