package connect

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel's error queue is read without a panic, however short the message.
func FuzzICMPError(f *testing.F) {
	f.Add([]byte{})
	v4, v6 := make([]byte, 32), make([]byte, 48)
	v4[4], v6[4] = unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6
	for _, message := range [][]byte{v4, v4[:20], v6, v6[:30]} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if o, is := parseICMPError(message); is && !o.from.IsValid() {
			t.Error("an error without a sender")
		}
	})
}
