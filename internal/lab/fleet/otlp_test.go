//go:build !race

package fleet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// What comes by OpenTelemetry's protocol is in Prometheus the same as what comes by its own: the same series, under
// the same names. What waited while Prometheus was away arrives in its place.
func TestOTLP(t *testing.T) {
	f := newFleet(t, 9290, time.Second)
	f.write("prometheus.yml", takesWhatIsLate)
	f.startPrometheus()
	d := f.pushing(here, "both", fmt.Sprintf(`
  remote_write:
    - {name: native, url: "http://%[1]s:%[2]d/api/v1/write", interval: 1s, timeout: 5s, labels: {instance: native, site: cellar}}
  otlp:
    - {name: collector, url: "http://%[1]s:%[2]d/api/v1/otlp/v1/metrics", interval: 1s, timeout: 5s, labels: {instance: otlp, site: cellar}}
`, receivers, f.port))
	eventually(t, func() error {
		native, otlp := f.series("native"), f.series("otlp")
		if diff := cmp.Diff(native, otlp); diff != "" {
			return fmt.Errorf("by remote write (-) and by OTLP (+):\n%s", diff)
		}
		if len(native) == 0 {
			return errors.New("no series yet")
		}
		return nil
	})

	f.prometheus.Stop()
	eventually(t, func() error { return d.keeps("collector", 3) })
	d.kept = d.queued("collector")
	f.startPrometheus()
	f.await(fmt.Sprintf(`timestamp(netwatchd_build_info{instance="otlp"}) * 1000 > %d`, slices.Max(d.kept)))
	d.arrived(t, f.timesOf("otlp"), "prometheus")
}

// series are what Prometheus has of an instance at this moment, as text, without the name of the instance. Native
// histograms are left out: OTLP has a name for one kind only. Of OTLP's bounds Prometheus writes 1 where it writes 1.0
// of its own.
func (f *fleet) series(instance string) []string {
	f.t.Helper()
	var all []string
	for _, s := range f.prometheus.Ask(f.t, fmt.Sprintf(`{instance=%q, __name__!="target_info"}`, instance)) { // which OTLP has beside
		if s.Histogram != nil {
			continue
		}
		labels := model.Metric(model.LabelSet(s.Metric).Clone())
		delete(labels, "instance")
		for _, bound := range []model.LabelName{"le", "quantile"} {
			if text, is := labels[bound]; is {
				labels[bound] = model.LabelValue(strings.TrimSuffix(string(text), ".0"))
			}
		}
		all = append(all, labels.String())
	}
	slices.Sort(all)
	return all
}
