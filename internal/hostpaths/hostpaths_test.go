package hostpaths

import (
	"os/user"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatusFiles(t *testing.T) {
	u := &user.User{Uid: "1000", Username: "u"}
	session := Paths{Run: "/run/user/1000/netwatchd"}
	bare := Paths{Run: "/home/u/.local/state/netwatchd"} // no XDG_RUNTIME_DIR: inside some sandboxes, under cron
	for _, test := range []struct {
		configured string
		at         Paths
		me         *user.User
		want       []string
	}{
		{"/run/netwatchd/status.json", Paths{Run: "/run/netwatchd"}, &user.User{Uid: "0", Username: "root"}, []string{"/run/netwatchd/status.json"}},
		{"/run/user/1000/netwatchd/status.json", session, u, []string{"/run/netwatchd/status.json", "/run/netwatchd@u/status.json",
			"/run/user/1000/netwatchd/status.json"}},
		{"/home/u/.local/state/netwatchd/status.json", bare, u, []string{"/home/u/.local/state/netwatchd/status.json",
			"/run/netwatchd/status.json", "/run/netwatchd@u/status.json", "/run/user/1000/netwatchd/status.json"}},
		{"/elsewhere.json", session, u, []string{"/elsewhere.json"}},
	} {
		if diff := cmp.Diff(test.want, test.at.statusFiles(test.configured, test.me)); diff != "" {
			t.Errorf("%s as %s (-want +got):\n%s", test.configured, test.me.Username, diff)
		}
	}
}
