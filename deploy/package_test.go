package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dist builds every package for one version.
func dist(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"nfpm", "cyclonedx-gomod"} {
		if _, err := os.Stat("../.cache/bin/" + tool); err != nil {
			t.Skipf("needs %s: make test builds it", tool)
		}
	}
	dir := t.TempDir()
	cmd := exec.Command("../hack/dist", dir)
	cmd.Env = append(os.Environ(), "VERSION=1.2.3")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hack/dist: %v\n%s", err, out)
	}
	return dir
}

// The packages have the same contents, pass lintian, run, and are reproducible.
func TestPackages(t *testing.T) {
	dir := dist(t)
	t.Run("are reproducible", func(t *testing.T) {
		again := dist(t)
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 5 {
			t.Fatalf("got %v, %v, want three packages, the list of modules and the sums", files, err)
		}
		for _, file := range files {
			first, _ := os.ReadFile(filepath.Join(dir, file.Name()))
			second, err := os.ReadFile(filepath.Join(again, file.Name()))
			if err != nil || !bytes.Equal(first, second) {
				t.Errorf("%s differs: %v", file.Name(), err)
			}
		}
	})
	t.Run("have sums", func(t *testing.T) {
		sums := exec.Command("sha256sum", "--strict", "--check", "SHA256SUMS")
		sums.Dir = dir
		if out, err := sums.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 4 {
			t.Errorf("%v:\n%s", err, out)
		}
	})
	t.Run("come with all modules and their licenses", func(t *testing.T) {
		root := t.TempDir()
		output(t, "tar", "tar", "-xzf", find(t, dir, "*.tar.gz"), "-C", root)
		licenses := output(t, "gzip", "gzip", "-dc", filepath.Join(root, "netwatchd-1.2.3/third-party-licenses.gz"))
		var bom struct {
			Components []struct {
				Name, Version string
				Evidence      struct{ Licenses []any }
			}
		}
		text, err := os.ReadFile(find(t, dir, "*.cdx.json"))
		if err != nil || json.Unmarshal(text, &bom) != nil {
			t.Fatalf("no list of modules: %v", err)
		}
		listed := make(map[string]bool)
		for _, c := range bom.Components {
			listed[c.Name+" "+c.Version] = true
			if len(c.Evidence.Licenses) == 0 && c.Name != "std" {
				t.Errorf("%s %s has no license", c.Name, c.Version)
			}
		}
		built := output(t, "go", "go", "version", "-m", filepath.Join(root, "netwatchd-1.2.3/netwatchd"))
		modules := regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(built, -1)
		for _, m := range modules {
			if !listed[m[1]+" "+m[2]] || !strings.Contains(licenses, "==== "+m[1]+" "+m[2]+"\n") {
				t.Errorf("%s %s: listed %v, or it has no license text", m[1], m[2], listed[m[1]+" "+m[2]])
			}
		}
		if len(modules) < 20 {
			t.Errorf("only %d modules in the program", len(modules))
		}
	})
	t.Run("are clean under lintian", func(t *testing.T) {
		out := output(t, "lintian", "lintian", "--fail-on=error,warning,info", "--allow-root", find(t, dir, "*.deb"))
		if out != "" {
			t.Error(out)
		}
	})
	t.Run("have the same contents", func(t *testing.T) {
		deb := listed(output(t, "dpkg-deb", "dpkg-deb", "--contents", find(t, dir, "*.deb")))
		rpm := listed(output(t, "rpm", "rpm", "--query", "--queryformat=[%{FILEMODES:perms} %{FILENAMES}\\n]", "--package", find(t, dir, "*.rpm")))
		if diff := cmp.Diff(deb, rpm); diff != "" {
			t.Errorf("(-deb +rpm):\n%s", diff)
		}
	})
	t.Run("have no dead links in their pages", func(t *testing.T) {
		root := t.TempDir()
		output(t, "dpkg-deb", "dpkg-deb", "--extract", find(t, dir, "*.deb"), filepath.Join(root, "deb"))
		checkLinks(t, filepath.Join(root, "deb/usr/share/doc/netwatchd"))
		output(t, "tar", "tar", "-xzf", find(t, dir, "*.tar.gz"), "-C", root)
		checkLinks(t, filepath.Join(root, "netwatchd-1.2.3"))
	})
	t.Run("have a completion that zsh loads", func(t *testing.T) {
		contents := output(t, "dpkg-deb", "dpkg-deb", "--contents", find(t, dir, "*.deb"))
		if want := " ./usr/share/zsh/vendor-completions/_netwatchd\n"; !strings.Contains(contents, want) {
			t.Errorf("no%s", want)
		}
		root := t.TempDir()
		output(t, "dpkg-deb", "dpkg-deb", "--extract", find(t, dir, "*.deb"), root)
		loads := "fpath=(" + root + "/usr/share/zsh/vendor-completions $fpath); " +
			"autoload -U compinit; compinit -u -D; print $_comps[netwatchd]"
		if out := output(t, "zsh", "zsh", "-f", "-c", loads); out != "_netwatchd\n" {
			t.Errorf("zsh completes netwatchd with %q", out)
		}
	})
	t.Run("run from the archive", func(t *testing.T) {
		root := t.TempDir()
		output(t, "tar", "tar", "-xzf", find(t, dir, "*.tar.gz"), "-C", root)
		if out := output(t, "", filepath.Join(root, "netwatchd-1.2.3/netwatchd"), "version"); !strings.HasPrefix(out, "netwatchd 1.2.3 ") {
			t.Errorf("it reports version %s", out)
		}
	})
}

// listed are the files and modes in a listing, without files whose paths differ between deb and rpm.
func listed(list string) map[string]string {
	all := make(map[string]string)
	own := regexp.MustCompile(`zsh|lintian|licenses|/copyright$|/changelog`)
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[len(fields)-1], ".")
		if strings.HasPrefix(line, "-") && !own.MatchString(name) {
			all[name] = fields[0]
		}
	}
	return all
}

func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: got %v, %v, want one", pattern, found, err)
	}
	return found[0]
}

// output is the output of a command that must succeed. The test is skipped if the program needs is not installed.
func output(t *testing.T, needs string, command ...string) string {
	t.Helper()
	if _, err := exec.LookPath(needs); needs != "" && err != nil {
		t.Skipf("needs %s: apt-get install %[1]s", needs)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}
