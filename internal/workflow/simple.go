package workflow

import "encoding/json"

// SimpleArgs are what the short form needs. Empty fields are left out.
type SimpleArgs struct {
	Name, Description        string
	JobName, Project, Region string
	TaskCount                int
}

// Simple is the definition of one step with a number of tasks, in the short form, as JSON. It checks nothing: Parse does.
func Simple(a SimpleArgs) []byte {
	type job struct {
		Project string `json:"project,omitempty"`
		Region  string `json:"region,omitempty"`
		Name    string `json:"name,omitempty"`
	}
	type tasks struct {
		Count int `json:"count"`
	}
	document, err := json.Marshal(struct {
		Name        string `json:"name,omitempty"`
		Description string `json:"description,omitempty"`
		Job         job    `json:"job"`
		Tasks       tasks  `json:"tasks"`
	}{a.Name, a.Description, job{a.Project, a.Region, a.JobName}, tasks{a.TaskCount}})
	if err != nil {
		panic(err) // texts and a number can always be written
	}
	return document
}
