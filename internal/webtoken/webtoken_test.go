package webtoken

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", Name)
	token := func() string {
		t.Helper()
		if err := Make(file); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("mode %v, %v: want a regular file with 0600", info.Mode(), err)
		}
		token, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := token()
	if len(first) < 26 { // 130 bits
		t.Errorf("%q is short", first)
	}
	if again := token(); again != first {
		t.Errorf("after a restart %q, want %q still", again, first)
	}
	for name, spoil := range map[string]func() error{
		"others could read it": func() error { return os.Chmod(file, 0o640) },
		"it is empty":          func() error { return os.Truncate(file, 0) },
		"it is short":          func() error { return os.WriteFile(file, []byte("secret\n"), 0o600) },
		"it is not text":       func() error { return os.WriteFile(file, []byte(strings.Repeat("\x00", 64)), 0o600) },
		"it is a link": func() error {
			known := filepath.Join(t.TempDir(), "known")
			if err := os.WriteFile(known, []byte(first), 0o600); err != nil {
				return err
			}
			_ = os.Remove(file)
			return os.Symlink(known, file)
		},
		"it is a named pipe": func() error { _ = os.Remove(file); return syscall.Mkfifo(file, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if again := token(); again == first {
			t.Errorf("%s: the token was kept", name)
		} else {
			first = again
		}
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A token that another user planted is one that they know.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to another user")
	}
	file := filepath.Join(t.TempDir(), Name)
	const planted = "planted-planted-planted"
	if err := os.WriteFile(file, []byte(planted), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := Make(file); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(file); err != nil || got == planted {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), Name)
	if err := Check(file, "Bearer "); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without a file: %v", err)
	}
	const token = "0123456789abcdef"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Bearer " + token:              "",
		"bearer  " + token:             "",
		"":                             "send the token in " + file,
		"Basic bWU6MDEyMw==":           "send the token in " + file,
		token:                          "send the token in " + file,
		"Bearer":                       "is not the one in",
		"Bearer 0123456789abcde":       "is not the one in",
		"Bearer 0123456789abcdefa":     "is not the one in",
		"Bearer \x00" + token:          "is not the one in",
		"Bearer " + token + " further": "is not the one in",
	} {
		err := Check(file, header)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", header, err, want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%q: the token is in the message: %v", header, err)
		}
	}
}

// Whatever is in the place of the file, reading it ends, and the error quotes nothing of it.
func TestReadBadFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, large, text := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "text")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{large: strings.Repeat("Pl4nt3d", 1000), text: "two Pl4nt3d words of text"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{dir, fifo, large, text, "/dev/zero", filepath.Join(text, "below")} {
		token, err := Read(file)
		if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "Pl4nt3d") {
			t.Errorf("%s: got %q, %v", file, token, err)
		}
	}
}
