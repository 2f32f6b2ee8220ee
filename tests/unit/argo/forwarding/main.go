// Argo Events' own code on argo/eventsource.yaml and argo/sensor.yaml: validates both, and writes whether the sensor
// lets each event of given.json pass, and what it would send, into recorded.json. Run by hand when one of them changes (it compiles for minutes):
//
//	go mod init recording && go get github.com/argoproj/argo-events@v1.9.11 && go mod tidy
//	go run . ../../../../argo given.json recorded.json
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/argoproj/argo-events/pkg/reconciler/eventsource"
	"github.com/argoproj/argo-events/pkg/reconciler/sensor"
	"github.com/argoproj/argo-events/pkg/sensors/dependencies"
	"github.com/argoproj/argo-events/pkg/sensors/triggers"
	"sigs.k8s.io/yaml"
)

type sent struct {
	ContentType string `json:"contentType"`
	Body        string `json:"body"`
	Passed      bool   `json:"passed"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func read(path string, into any) {
	content, err := os.ReadFile(path)
	must(err)
	must(yaml.UnmarshalStrict(content, into)) // an unknown field is an error
}

func main() {
	var source v1alpha1.EventSource
	read(filepath.Join(os.Args[1], "eventsource.yaml"), &source)
	must(eventsource.ValidateEventSource(&source))
	var forward v1alpha1.Sensor
	read(filepath.Join(os.Args[1], "sensor.yaml"), &forward)
	var bus v1alpha1.EventBus
	must(yaml.Unmarshal([]byte(`{"metadata": {"name": "default"}, "spec": {"jetstream": {"version": "latest"}}}`), &bus))
	must(sensor.ValidateSensor(&forward, &bus))

	var given map[string]json.RawMessage
	read(os.Args[2], &given)
	http := forward.Spec.Triggers[0].Template.HTTP
	cases := map[string]sent{}
	for name, data := range given {
		context := &v1alpha1.EventContext{ID: "of Argo Events", Source: "ml-events", Type: "webhook", DataContentType: "application/json"}
		events := map[string]*v1alpha1.Event{forward.Spec.Dependencies[0].Name: {Context: context, Data: data}}
		var made sent
		for _, event := range events { // an error, such as a path that is not there, is logged by the sensor
			made.Passed, _ = dependencies.Filter(event, forward.Spec.Dependencies[0].Filters, "")
		}
		body, err := triggers.ConstructPayload(events, http.Payload)
		must(err)
		made.Body = string(body)
		value, _, err := triggers.ResolveParamValue(http.DynamicHeaders[0].Src, events)
		must(err)
		made.ContentType = *value
		cases[name] = made
	}
	file, err := os.Create(os.Args[3])
	must(err)
	written := json.NewEncoder(file)
	written.SetIndent("", " ")
	must(written.Encode(map[string]any{
		"filters": forward.Spec.Dependencies[0].Filters,
		"payload": http.Payload[0].Src.DataTemplate, "contentType": http.DynamicHeaders[0].Src.DataTemplate, "cases": cases,
	}))
}
