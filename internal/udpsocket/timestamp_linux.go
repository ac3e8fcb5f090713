// Package udpsocket reads datagrams in batches, and what the kernel knows of them: when each arrived, and the ICMP
// errors of those sent.
package udpsocket

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// timespecSize is that of the kernel's __kernel_timespec: seconds and nanoseconds, 64 bits each on every architecture.
const timespecSize = 16

// TimestampSize is the size of the control message with a timestamp.
var TimestampSize = unix.CmsgSpace(timespecSize)

// RequestTimestamps makes the kernel note when each datagram arrives (SO_TIMESTAMPNS_NEW, since Linux 5.1). An answer
// may wait for this program to be scheduled, which is not the network's time.
func RequestTimestamps(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, the time of reading is taken
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	})
}

// Arrival returns when the kernel received the datagram with that control message, by the monotonic clock of now, the
// time of reading. It is now if the kernel does not say.
func Arrival(control []byte, now time.Time) time.Time {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.SOL_SOCKET || header.Type != unix.SO_TIMESTAMPNS_NEW ||
		len(data) < timespecSize {
		return now
	}
	seconds, nanoseconds := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
	return now.Add(-max(now.Sub(time.Unix(int64(seconds), int64(nanoseconds))), 0))
}
