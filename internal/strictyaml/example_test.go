package strictyaml_test

import (
	"fmt"
	"time"

	"netwatchd/internal/strictyaml"
)

func ExampleDecode() {
	var interval time.Duration
	faults := strictyaml.Decode("config.yaml", []byte("intervall: 30s\ninterval: 30\n"), func(root *strictyaml.Node) {
		root.Object("interval").Duration("interval", &interval, time.Second)
	})
	for _, fault := range faults {
		fmt.Println(fault)
	}
	// Output:
	// config.yaml:1: unknown key "intervall": did you mean "interval"?
	// config.yaml:2: interval: 30 has no unit: write 30s
}
