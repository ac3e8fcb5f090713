package dnsprobe

import (
	"bytes"
	"net/netip"
	"slices"
	"sync/atomic"

	"netwatchd/internal/probe/dnsprobe/dnswire"
)

// A common is what the attempts of a lookup at one named nameserver have in common. Without it each would make it
// again: eight of the fifteen allocations of an attempt.
type common struct {
	nameserver netip.AddrPort
	serverText string
	questions  []packedQuestion // in the order of the types
	err        error            // why there are none
	latest     atomic.Pointer[answers]
}

// A packedQuestion is a question with the query that asks it, as packQuery writes it.
type packedQuestion struct {
	question
	query []byte
}

// Prepared returns d for many attempts in a [Pool].
func (d Lookup) Prepared() *Lookup {
	if len(d.Nameservers) == 1 {
		d.common = newCommon(&d)
	}
	return &d
}

// newCommon returns that of a lookup at one nameserver.
func newCommon(d *Lookup) *common {
	types, err := recordTypes(d.Types)
	if err != nil {
		return &common{err: err}
	}
	c := &common{nameserver: d.Nameservers[0], serverText: d.Nameservers[0].String()}
	for _, qtype := range types {
		var room [dnswire.QueryLimit]byte
		q := question{d.Name, qtype}
		query, err := dnswire.PackQuery(room[:], q.name, q.qtype)
		if err != nil {
			return &common{err: err}
		}
		c.questions = append(c.questions, packedQuestion{q, bytes.Clone(query)})
	}
	return c
}

// answers are addresses and their texts. They are not changed once they are made: results share them.
type answers struct {
	addrs []netip.Addr // sorted, each once
	texts []string
}

// texts is outcomes.texts. If the addresses are those of the attempt before, it returns the same texts.
func (c *common) texts(a outcomes) []string {
	if slices.ContainsFunc(a, func(o outcome) bool { return len(o.records) > 0 }) {
		return a.texts()
	}
	var room [16]netip.Addr // more than almost every name has
	addrs := a.sortedAddrs(room[:0])
	if latest := c.latest.Load(); latest != nil && slices.Equal(latest.addrs, addrs) {
		return latest.texts
	}
	now := &answers{slices.Clone(addrs), a.texts()}
	c.latest.Store(now)
	return now.texts
}
