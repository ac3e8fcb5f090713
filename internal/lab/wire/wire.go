// Package wire is a cable with injectable faults: it delays, loses and drops frames.
//
// It copies every frame between two interfaces of a namespace, because not every kernel has netem. Offloads must be
// off on both interfaces and on their peers: there is no network card here to compute checksums and segments.
package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// An Impairment is what is wrong with a wire. The zero value is a perfect wire.
type Impairment struct {
	Delay    time.Duration // one way
	Loss     float64       // the share of frames that is lost, each way
	MaxFrame int           // longer frames are dropped silently; zero: no limit
}

// A Wire copies frames until it is closed.
type Wire struct {
	impairment atomic.Pointer[Impairment]
	mu         sync.Mutex
	dice       *rand.Rand
	ends       [2]*os.File
	copying    sync.WaitGroup
}

// New joins two interfaces of the calling thread's network namespace. Losses depend on the seed and on the order of
// frames.
func New(a, b string, seed uint64) (*Wire, error) {
	w := &Wire{dice: rand.New(rand.NewPCG(seed, seed))}
	w.Set(Impairment{})
	for i, name := range []string{a, b} {
		end, err := open(name)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("opening %s: %w", name, err)
		}
		w.ends[i] = end
	}
	w.copying.Go(func() { w.copy(w.ends[0], w.ends[1]) })
	w.copying.Go(func() { w.copy(w.ends[1], w.ends[0]) })
	return w, nil
}

// Set changes the impairment of frames that arrive from now on.
func (w *Wire) Set(i Impairment) { w.impairment.Store(&i) }

// Close ends it.
func (w *Wire) Close() {
	for _, end := range w.ends {
		if end != nil {
			end.Close()
		}
	}
	w.copying.Wait()
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

func (w *Wire) copy(from, to *os.File) {
	frame := make([]byte, longestFrame)
	for {
		n, err := from.Read(frame)
		if err != nil {
			if isDown(err) {
				continue
			}
			return
		}
		impairment := *w.impairment.Load()
		switch {
		case impairment.MaxFrame > 0 && n > impairment.MaxFrame, w.lost(impairment.Loss):
		case impairment.Delay == 0:
			to.Write(frame[:n]) // into an interface that is down: the frame is lost, as on a real one
		default:
			late := append([]byte(nil), frame[:n]...)
			time.AfterFunc(impairment.Delay, func() { to.Write(late) })
		}
	}
}

// isDown reports whether err says that the interface went down. The socket reports it once, and works when the
// interface is up again.
func isDown(err error) bool {
	return errors.Is(err, unix.ENETDOWN)
}

func (w *Wire) lost(share float64) bool {
	if share == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.Float64() < share
}
