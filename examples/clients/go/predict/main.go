// Asks a served model for predictions over REST.
//
//	go run ./predict HOST:PORT
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := http.Client{Timeout: time.Minute}
	url := "http://" + os.Args[1] + "/v1/models/half_plus_two:predict"
	response, err := client.Post(url, "application/json", strings.NewReader(`{"instances": [[1.0], [2.0], [5.0]]}`))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Predictions [][]float32
		Error       string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status, ": ", answer.Error)
	}
	fmt.Print("predictions:")
	for _, row := range answer.Predictions {
		fmt.Print(" ", row[0])
	}
	fmt.Println()
}
