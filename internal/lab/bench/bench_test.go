package main

import (
	"math"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		qtype uint16
		want  int // answers
	}{{dns.TypeA, 1}, {dns.TypeAAAA, 0}} {
		query := new(dns.Msg).SetQuestion("host-1.example.", tt.qtype).SetEdns0(1232, false)
		buf := make([]byte, 1500)
		packed, err := query.PackBuffer(buf)
		if err != nil {
			t.Fatal(err)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(replyTo(buf, len(packed))); err != nil {
			t.Fatal(err)
		}
		if !reply.Response || reply.Id != query.Id || len(reply.Answer) != tt.want || reply.Question[0] != query.Question[0] {
			t.Errorf("got %v, want %d answers to %v", reply, tt.want, query.Question[0])
		}
	}
	if reply := replyTo([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63}, 13); reply != nil {
		t.Errorf("a question cut short: got %v, want no reply", reply)
	}
}

func TestQuantile(t *testing.T) {
	buckets := []bucket{{.001, 50}, {.002, 90}, {.005, 100}, {math.Inf(1), 101}}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0, 0}, {50. / 101, time.Millisecond}, {70. / 101, 1500 * time.Microsecond}, {95. / 101, 3500 * time.Microsecond}, {1, 5 * time.Millisecond}} {
		if got := quantile(buckets, tt.q); got != tt.want {
			t.Errorf("quantile %v: got %v, want %v", tt.q, got, tt.want)
		}
	}
	if got := quantile(nil, .99); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
}
