package userfile

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mounts are the mount points of this process, by the type of their file system.
type Mounts map[string]string

// remote are file systems whose server may be gone. Then even stat(2) waits for it, for ever and deaf to signals
// (nfs(5), hard). 9p is none: WSL has the drives of Windows there.
var remote = []string{"nfs", "nfs4", "cifs", "smb3", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.rclone"}

// ReadMounts reads /proc/self/mountinfo. It returns none if it cannot be read.
func ReadMounts() Mounts {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	return readMounts(f)
}

// readMounts reads lines of proc_pid_mountinfo(5): the fifth field is the mount point, the type follows a lone "-".
func readMounts(r io.Reader) Mounts {
	mounts := make(Mounts)
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if at := slices.Index(fields, "-"); at > 5 && at+1 < len(fields) {
			mounts[unescape.Replace(fields[4])] = fields[at+1] // a later mount hides an earlier one
		}
	}
	return mounts
}

// MayHang reports whether opening path may wait for a server that is gone, where opening home does not: home is on
// another file system.
func (m Mounts) MayHang(path, home string) bool {
	point := m.pointOf(path)
	return slices.Contains(remote, m[point]) && point != m.pointOf(home)
}

func (m Mounts) pointOf(path string) string {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, ok := m[at]; ok || at == filepath.Dir(at) {
			return at
		}
	}
}
