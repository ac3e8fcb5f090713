package dnsprobe

import (
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timestampSize is the size of the control message with a timestamp.
var timestampSize = unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{})))

// requestTimestamps makes the kernel note when each datagram arrives (socket(7), SO_TIMESTAMPNS). An answer may wait for
// this program to be scheduled, which is not the network's time.
func requestTimestamps(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, the time of reading is taken
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
}

// arrival returns when the kernel received the datagram with that control message, by the monotonic clock of now, the
// time of reading. It is now if the kernel does not say.
func arrival(control []byte, now time.Time) time.Time {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.SOL_SOCKET || header.Type != unix.SO_TIMESTAMPNS ||
		len(data) < int(unsafe.Sizeof(unix.Timespec{})) {
		return now
	}
	at := *(*unix.Timespec)(unsafe.Pointer(&data[0]))
	return now.Add(-max(now.Sub(time.Unix(at.Unix())), 0))
}
