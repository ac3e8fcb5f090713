// Package wire is a length of cable that can be bent: it delays, loses and swallows frames.
//
// It stands between two interfaces of a namespace and carries every frame from one to the other by hand, since not every
// kernel has netem. The interfaces, and their peers, must have their offloads off: what the kernel leaves to the network
// card (checksums, segments) nobody would do here.
package wire

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Bend is what is wrong with a wire. The zero one carries everything at once.
type Bend struct {
	Delay   time.Duration // one way
	Loss    float64       // the share of frames that is lost, each way
	Longest int           // frames of more bytes are swallowed without a word; zero: none are
}

// A Wire carries frames until it is closed.
type Wire struct {
	bend  atomic.Pointer[Bend]
	mu    sync.Mutex
	dice  *rand.Rand
	ends  [2]*os.File
	lines sync.WaitGroup
}

// New joins two interfaces of the calling thread's network. What is lost depends on the seed, and on the order in which
// frames come.
func New(a, b string, seed uint64) (*Wire, error) {
	w := &Wire{dice: rand.New(rand.NewPCG(seed, seed))}
	w.Set(Bend{})
	for i, name := range []string{a, b} {
		end, err := open(name)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("opening %s: %w", name, err)
		}
		w.ends[i] = end
	}
	w.lines.Go(func() { w.carry(w.ends[0], w.ends[1]) })
	w.lines.Go(func() { w.carry(w.ends[1], w.ends[0]) })
	return w, nil
}

// Set bends the wire; frames under way are not affected.
func (w *Wire) Set(b Bend) { w.bend.Store(&b) }

// Close ends it.
func (w *Wire) Close() {
	for _, end := range w.ends {
		if end != nil {
			end.Close()
		}
	}
	w.lines.Wait()
}

// open returns the raw end of an interface: all that comes in there, whomever it is for, and nothing that goes out.
func open(name string) (*os.File, error) {
	card, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	all := int(htons(unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	everyone := unix.PacketMreq{Ifindex: int32(card.Index), Type: unix.PACKET_MR_PROMISC}
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) },
		func() error {
			return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: card.Index})
		},
		func() error {
			return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &everyone)
		},
	} {
		if err := step(); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func htons(n uint16) uint16 { return n<<8 | n>>8 } // every machine that runs these tests is little-endian

// longestFrame is beyond what an interface with an MTU of 1500 sends.
const longestFrame = 2048

func (w *Wire) carry(from, to *os.File) {
	frame := make([]byte, longestFrame)
	for {
		n, err := from.Read(frame)
		if err != nil {
			if isDown(err) {
				continue
			}
			return
		}
		bend := *w.bend.Load()
		switch {
		case bend.Longest > 0 && n > bend.Longest, w.lost(bend.Loss):
		case bend.Delay == 0:
			to.Write(frame[:n]) // into an interface that is down: the frame is lost, as on a real one
		default:
			late := append([]byte(nil), frame[:n]...)
			time.AfterFunc(bend.Delay, func() { to.Write(late) })
		}
	}
}

// isDown reports whether the socket said once that its interface went down; it goes on when that is up again.
func isDown(err error) bool {
	failed, ok := err.(*os.PathError)
	return ok && failed.Err == unix.ENETDOWN
}

func (w *Wire) lost(share float64) bool {
	if share == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.Float64() < share
}
