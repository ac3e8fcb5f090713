package history

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/store"
)

// A disk is an ext4 file system in a file, mounted so that an error makes it read-only, as Debian's installer mounts
// disks.
type disk struct {
	t          *testing.T
	file, path string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	dir := t.TempDir()
	d := &disk{t: t, file: filepath.Join(dir, "disk"), path: filepath.Join(dir, "mounted")}
	if err := errors.Join(os.Mkdir(d.path, 0o700), os.WriteFile(d.file, nil, 0o600), os.Truncate(d.file, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.file).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: %v: %s", err, out)
	}
	if out, err := d.mount().CombinedOutput(); err != nil {
		t.Skipf("needs a loop device: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.path).Run() })
	return d
}

func (d *disk) run(command ...string) string {
	d.t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *disk) mount() *exec.Cmd {
	return exec.Command("mount", "-o", "loop,errors=remount-ro", d.file, d.path)
}

// fail makes the file system read-only, as an error of the disk does: also for files that are open for writing.
func (d *disk) fail() {
	d.t.Helper()
	device := filepath.Base(d.run("findmnt", "-no", "SOURCE", d.path))
	if err := os.WriteFile(filepath.Join("/sys/fs/ext4", device, "trigger_fs_error"), []byte("1"), 0o200); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.path, "probe"), nil, 0o600); err == nil {
		d.t.Fatal("the file system can still be written to")
	}
}

// repair mounts the file system again, checked, in place of the read-only one. It is a copy: the kernel does not mount
// a file that is mounted already a second time, and processes may still have files open there.
func (d *disk) repair() {
	d.t.Helper()
	d.run("umount", "-l", d.path)
	repaired := d.file + ".repaired"
	d.run("cp", d.file, repaired)
	check := exec.Command("e2fsck", "-fy", repaired)
	if out, _ := check.CombinedOutput(); check.ProcessState.ExitCode() > 1 { // 1: it corrected something (e2fsck(8))
		d.t.Fatalf("%v: %s", check, out)
	}
	d.file = repaired
	d.run(d.mount().Args...)
}

// An error of the disk makes it read-only while the daemon runs. That is reported, everything since is in memory, and
// is written once the disk can be written to.
func TestReadOnlyDisk(t *testing.T) {
	d := newDisk(t)
	dir := filepath.Join(d.path, "storage")
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	wants(t, dir, "codex-1 resolver open")
	d.fail()
	judged(l, "codex", causes.Upstream, causes.Resolver)
	judged(l, "shop", causes.Resolver, causes.Healthy)
	eventually(t, func() error {
		if fault := l.Fault(); !strings.Contains(fault, "read-only") {
			return fmt.Errorf("the fault is %q, want that the disk is read-only", fault)
		}
		return nil
	})
	found, _, err := l.Incidents(t.Context(), incident.Filter{Services: []string{"codex"}})
	if err != nil || len(found) != 1 || len(found[0].Causes) != 2 {
		t.Errorf("incidents %+v, %v: want the one in memory", found, err)
	}
	d.repair()
	wants(t, dir, "shop-1 resolver open", "codex-1 resolver upstream open")
	eventually(t, func() error {
		if l.Fault() != "" {
			return errors.New(l.Fault())
		}
		return nil
	})
	l.stop()
	if h, err := store.Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
}
