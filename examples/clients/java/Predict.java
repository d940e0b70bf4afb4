// Asks a served model for predictions over REST; the standard library has no JSON, so the answer is printed as it is.
//   java Predict.java HOST:PORT
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class Predict {
  public static void main(String[] args) throws Exception {
    var url = URI.create("http://" + args[0] + "/v1/models/half_plus_two:predict");
    var body = HttpRequest.BodyPublishers.ofString("{\"instances\": [[1.0], [2.0], [5.0]]}");
    var request = HttpRequest.newBuilder(url).timeout(Duration.ofMinutes(1)).POST(body).build();
    var response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    if (response.statusCode() != 200) throw new RuntimeException(response.statusCode() + ": " + response.body());
    System.out.println("predictions: " + response.body().replaceAll("[^0-9.]+", " ").strip());
  }
}
