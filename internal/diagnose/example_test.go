package diagnose_test

import (
	"fmt"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// The service refuses connections while an unrelated site is reached: the service is at fault.
func ExampleOf() {
	head := probe.Spec{Service: "shop", Name: "head", Kind: probe.KindHTTP, Target: "https://shop.example/"}
	control := probe.Spec{Service: "shop", Name: "control", Kind: probe.KindHTTP, Role: probe.ControlByName,
		Target: "http://other.example/"}
	verdict := diagnose.Of(diagnose.Round{Service: "shop", Results: []probe.Result{
		{Spec: head, Class: probe.TCPRefused, Facts: probe.Facts{Phase: probe.Connect}},
		{Spec: control, Class: probe.OK, Facts: probe.Facts{Phase: probe.Response, Status: 204}},
	}})
	fmt.Println(verdict.Cause, "-", verdict.Title)
	// Output: upstream - shop: the service refuses connections
}
