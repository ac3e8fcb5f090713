// Package udpsocket reads what the kernel knows of datagrams: when each arrived, and the ICMP errors of those sent.
package udpsocket

import (
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TimestampSize is the size of the control message with a timestamp.
var TimestampSize = unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{})))

// RequestTimestamps makes the kernel note when each datagram arrives (socket(7), SO_TIMESTAMPNS). An answer may wait for
// this program to be scheduled, which is not the network's time.
func RequestTimestamps(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, the time of reading is taken
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
}

// Arrival returns when the kernel received the datagram with that control message, by the monotonic clock of now, the
// time of reading. It is now if the kernel does not say.
func Arrival(control []byte, now time.Time) time.Time {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.SOL_SOCKET || header.Type != unix.SO_TIMESTAMPNS ||
		len(data) < int(unsafe.Sizeof(unix.Timespec{})) {
		return now
	}
	at := *(*unix.Timespec)(unsafe.Pointer(&data[0]))
	return now.Add(-max(now.Sub(time.Unix(at.Unix())), 0))
}
