package plan

import (
	"fmt"
	"testing"

	"netwatchd/internal/config"
)

// BenchmarkOf plans many services of one lookup each. The time for a service must not grow with their number.
func BenchmarkOf(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := config.Builtin()
			s := config.Service{Probes: c.Services[0].Probes[:1]}
			c.Services = nil
			for i := range n {
				s.Name = fmt.Sprint("s", i)
				c.Services = append(c.Services, s)
			}
			for b.Loop() {
				Of(c)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/service")
		})
	}
}
