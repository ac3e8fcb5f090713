package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
)

// packFormat is the first byte of a pack. A packed roll-up is a dozen bytes; one row for each of ten thousand probes
// every minute would be most of the work, so a pack holds all probes of a minute. Classes are written by name at its
// start, because their numbers may change between versions.
const packFormat = 1

// few is how many latencies are stored as minimum and maximum alone: a probe that runs every half minute has no more
// in a minute, and takes half the space.
const few = 2

// A Packer packs roll-ups, each with a number.
type Packer struct {
	classes []probe.Class
	body    []byte
}

// Add packs u under number.
func (p *Packer) Add(number uint64, u *Rollup) {
	p.body = binary.AppendUvarint(p.body, number)
	p.body = binary.AppendUvarint(p.body, u.Count)
	p.body = binary.AppendUvarint(p.body, uint64(len(u.Failures)))
	for _, f := range u.Failures {
		p.body = binary.AppendUvarint(p.body, p.class(f.Class))
		p.body = binary.AppendUvarint(p.body, f.Count)
	}
	ok := u.OK()
	for _, s := range []probe.Seconds{u.Min, u.Max, u.Sum}[:min(ok, 3)] {
		p.body = binary.AppendUvarint(p.body, uint64(math.Round(max(float64(s), 0)*1e6)))
	}
	if ok <= few {
		return
	}
	p.body = binary.AppendUvarint(p.body, uint64(len(u.Sketch)))
	var before int16
	for _, b := range u.Sketch {
		p.body = binary.AppendVarint(p.body, int64(b.Index-before))
		p.body = binary.AppendUvarint(p.body, uint64(b.Count))
		before = b.Index
	}
}

func (p *Packer) class(c probe.Class) uint64 {
	i := slices.Index(p.classes, c)
	if i < 0 {
		i = len(p.classes)
		p.classes = append(p.classes, c)
	}
	return uint64(i)
}

// Pack returns everything that was added.
func (p *Packer) Pack() []byte {
	head := binary.AppendUvarint([]byte{packFormat}, uint64(len(p.classes)))
	for _, c := range p.classes {
		head = binary.AppendUvarint(head, uint64(len(c.String())))
		head = append(head, c.String()...)
	}
	return append(head, p.body...)
}

var errPack = errors.New("a roll-up in the store is damaged")

// Unpack calls each for every roll-up of a pack.
func Unpack(pack []byte, each func(number uint64, u *Rollup)) error {
	return UnpackSome(pack, func(uint64) bool { return true }, each)
}

// UnpackSome is Unpack for the numbers that are wanted. Skipping the others takes a tenth of the time: one probe is
// read from a minute of ten thousand.
func UnpackSome(pack []byte, wanted func(number uint64) bool, each func(number uint64, u *Rollup)) error {
	if len(pack) == 0 || pack[0] != packFormat {
		return fmt.Errorf("%w: unknown format", errPack)
	}
	r := &reader{rest: pack[1:]}
	classes := r.classes()
	for len(r.rest) > 0 && !r.bad {
		number := r.uvarint()
		if !wanted(number) {
			r.skip()
			continue
		}
		if u := r.rollup(classes); !r.bad {
			each(number, u)
		}
	}
	if r.bad {
		return errPack
	}
	return nil
}

// A reader reads a pack. After an error it reads zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) fail() { r.bad, r.rest = true, nil }

// length reads the number of elements that follow. Each has at least one byte.
func (r *reader) length() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// classes reads the class names at the start. A name that this version does not have becomes unknown.
func (r *reader) classes() []probe.Class {
	all := make([]probe.Class, r.length())
	for i := range all {
		n := r.length()
		_ = all[i].UnmarshalText(r.rest[:n])
		r.rest = r.rest[n:]
	}
	return all
}

func (r *reader) rollup(classes []probe.Class) *Rollup {
	u := &Rollup{Count: r.uvarint()}
	for range r.length() {
		class, n := r.uvarint(), r.uvarint()
		if class >= uint64(len(classes)) {
			r.fail()
			return u
		}
		u.fail(classes[class], n)
	}
	if u.Failed() >= u.Count {
		return u
	}
	ok := u.OK()
	for _, s := range []*probe.Seconds{&u.Min, &u.Max, &u.Sum}[:min(ok, 3)] {
		*s = probe.Seconds(float64(r.uvarint()) / 1e6)
	}
	if ok <= few {
		u.complete(ok)
		return u
	}
	var index int16
	for range r.length() {
		index += int16(r.varint())
		u.Sketch = append(u.Sketch, ledger.Bucket{Index: index, Count: uint32(r.uvarint())})
	}
	return u
}

// skip reads past a roll-up.
func (r *reader) skip() {
	count := r.uvarint()
	var failed uint64
	for range r.length() {
		r.uvarint()
		failed += r.uvarint()
	}
	if failed >= count {
		return
	}
	ok := count - failed
	for range min(ok, 3) {
		r.uvarint()
	}
	if ok <= few {
		return
	}
	for range r.length() {
		r.varint()
		r.uvarint()
	}
}

// complete derives what is not packed of a few latencies.
func (u *Rollup) complete(ok uint64) {
	if ok == 1 {
		u.Max = u.Min
	}
	u.Sum = u.Min
	u.sketch(ledger.IndexOf(float64(u.Min)), 1)
	if ok > 1 {
		u.Sum += u.Max
		u.sketch(ledger.IndexOf(float64(u.Max)), 1)
	}
}
