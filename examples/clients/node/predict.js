// Asks a served model for predictions over REST.
//   node predict.js HOST:PORT
async function main() {
  const response = await fetch(`http://${process.argv[2]}/v1/models/half_plus_two:predict`, {
    method: "POST",
    body: JSON.stringify({ instances: [[1.0], [2.0], [5.0]] }),
    signal: AbortSignal.timeout(60000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${answer.error}`);
  console.log("predictions:", answer.predictions.map((row) => row[0]).join(" "));
}

main().catch((error) => { console.error(error.message); process.exit(1); });
