package userfile

import (
	"strings"
	"testing"
)

func TestMayHang(t *testing.T) {
	m := readMounts(strings.NewReader(`21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 0:40 / /mnt/c rw shared:9 - 9p C: rw
31 21 0:41 / /srv/team\040files rw shared:10 master:2 - nfs4 nas:/team rw
32 21 0:42 / /home rw - nfs nas:/home rw
33 21 0:43 / /srv/over rw - cifs //nas/x rw
34 33 0:44 / /srv/over rw - tmpfs tmpfs rw
broken line
`))
	for path, want := range map[string]bool{
		"/work/project": false, "/mnt/c/project": false, "/srv/team files/project": true, "/srv/team": false,
		"/home/me/project": false, "/srv/over/x": false,
	} {
		if got := m.MayHang(path, "/home/me/.codex"); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if !m.MayHang("/home/me/project", "/var/lib/codex") {
		t.Error("a project in a home on another server may hang")
	}
	if len(ReadMounts()) == 0 || ReadMounts().MayHang("/proc", "/") {
		t.Error("the mounts of this process are not read")
	}
}
