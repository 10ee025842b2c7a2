// Package model holds tests only: a model of what may be true, compared after every step with the real engine on a real database under faults.
package model
