BEGIN TRANSACTION;
CREATE TABLE sweep_meta (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO sweep_meta VALUES('schema','3');
CREATE TABLE sweep_outcomes (
	"key" TEXT NOT NULL, 
	status TEXT NOT NULL, 
	final BOOLEAN NOT NULL, 
	measured BOOLEAN NOT NULL, 
	delta_perf DOUBLE, 
	finished_at TEXT, 
	record TEXT NOT NULL, 
	trace BLOB, 
	item_scores BLOB, 
	item_labels TEXT, 
	PRIMARY KEY ("key")
);
INSERT INTO sweep_outcomes VALUES('5afe9c7eb8c17024','completed',1,1,0.3000000000000000444,'2026-11-25T12:00:00Z','{"conditions":{"trainer":"harness.training.grpo_torch:train","trainer_version":"1","backend":"torch","precision":"float32","device":"cpu","task":"addition","task_version":"1","model":"decoder-100k","lr_transfer":1.0,"files":{},"noted":{},"metric":"","direction":""},"outcome":{"status":"completed","perf_before":0.12,"perf_after":0.42000000000000004,"delta_perf":0.30000000000000004,"delta_perf_se":0.01,"prompts":512,"samples":4,"prompts_changed":200,"clusters":null,"clusters_changed":null,"train_delta_perf":0.30000000000000004,"seconds":3.0,"evaluation_seconds":null,"tokens":null,"peak_memory":null,"device":null,"error":null,"stopped_at":null,"weights":null,"value":null},"curve":[[0,0.12,0.01,0.12],[10,0.15,0.01,0.15],[20,0.18,0.01,0.18],[30,0.21000000000000002,0.01,0.21000000000000002],[40,0.24000000000000002,0.01,0.24000000000000002],[50,0.27,0.01,0.27],[60,0.30000000000000004,0.01,0.30000000000000004],[70,0.33000000000000007,0.01,0.33000000000000007],[80,0.36000000000000004,0.01,0.36000000000000004],[90,0.39,0.01,0.39],[100,0.42000000000000004,0.01,0.42000000000000004]],"environment":{"python":"3.11.2","cores":2}}',X'785e5d8cd10a83300c45ffa5cfd9a83a5ffc9521523488189392760c91fdfb52df347003e77093c3a58cd175ef0aea1e1c61505e781e346434eb9fcd6da0c54753bfacabf80d3a9da50a2ca6563ad11b7a43e4ac12f7f2dd9cc5dcac611a5874bb5892942ea7a36c91302fc2c5f38708caea7f7f40a93341',NULL,NULL);
INSERT INTO sweep_outcomes VALUES('5e0c02a5170b797e','crashed',0,1,NULL,NULL,'{"conditions":{"trainer":"harness.training.grpo_torch:train","trainer_version":"1","backend":"torch","precision":"float32","device":"cpu","task":"addition","task_version":"1","model":"decoder-100k","lr_transfer":1.0,"files":{},"noted":{},"metric":"","direction":""},"outcome":{"status":"crashed","perf_before":0.12,"perf_after":null,"delta_perf":null,"delta_perf_se":null,"prompts":512,"samples":4,"prompts_changed":null,"clusters":null,"clusters_changed":null,"train_delta_perf":null,"seconds":3.0,"evaluation_seconds":null,"tokens":null,"peak_memory":null,"device":null,"error":"killed: ''\u00fc''\n","stopped_at":null,"weights":null,"value":null},"curve":[[0,0.1,0.01,0.1]],"environment":{}}',NULL,NULL,NULL);
INSERT INTO sweep_outcomes VALUES('dcc925b63e7bef6e','diverged',1,1,NULL,'2026-11-25T12:00:00Z','{"conditions":{"trainer":"harness.training.grpo_torch:train","trainer_version":"1","backend":"torch","precision":"float32","device":"cpu","task":"addition","task_version":"1","model":"decoder-100k","lr_transfer":1.0,"files":{},"noted":{},"metric":"","direction":""},"outcome":{"status":"diverged","perf_before":0.12,"perf_after":null,"delta_perf":null,"delta_perf_se":null,"prompts":512,"samples":4,"prompts_changed":null,"clusters":null,"clusters_changed":null,"train_delta_perf":null,"seconds":3.0,"evaluation_seconds":null,"tokens":null,"peak_memory":null,"device":null,"error":null,"stopped_at":7,"weights":null,"value":null},"curve":[],"environment":{"python":"3.11.2","cores":2}}',NULL,NULL,NULL);
INSERT INTO sweep_outcomes VALUES('ae6183cc70fbf66a','completed',1,1,0.0,'2026-11-25T12:00:00Z','{"conditions":{"trainer":"harness.training.grpo_torch:train","trainer_version":"1","backend":"torch","precision":"float32","device":"cpu","task":"addition","task_version":"1","model":"decoder-100k","lr_transfer":1.0,"files":{},"noted":{},"metric":"","direction":""},"outcome":{"status":"completed","perf_before":0.12,"perf_after":0.12,"delta_perf":-0.0,"delta_perf_se":0.01,"prompts":512,"samples":4,"prompts_changed":200,"clusters":null,"clusters_changed":null,"train_delta_perf":-0.0,"seconds":3.0,"evaluation_seconds":null,"tokens":null,"peak_memory":null,"device":null,"error":null,"stopped_at":null,"weights":null,"value":null},"curve":[[0,0.12,0.01,0.12],[10,0.12,0.01,0.12],[20,0.12,0.01,0.12],[30,0.12,0.01,0.12],[40,0.12,0.01,0.12],[50,0.12,0.01,0.12],[60,0.12,0.01,0.12],[70,0.12,0.01,0.12],[80,0.12,0.01,0.12],[90,0.12,0.01,0.12],[100,0.12,0.01,0.12]],"environment":{"python":"3.11.2","cores":2}}',NULL,NULL,NULL);
CREATE TABLE sweep_item_labels (
	digest TEXT NOT NULL, 
	labels BLOB NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE sweep_runs (
	sweep TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	run TEXT NOT NULL, 
	PRIMARY KEY (sweep, "key")
);
INSERT INTO sweep_runs VALUES('a','5afe9c7eb8c17024','main',0,'{"id":"a-00","sweep":"a","index":0,"arm":"main","pair":null,"config":{"learning_rate":2e-07,"batch_size":8},"seed":1,"steps":100,"declared_steps":100,"evaluate_every":10,"declaration":"","repeat":0}');
INSERT INTO sweep_runs VALUES('a','5e0c02a5170b797e','main',1,'{"id":"a-01","sweep":"a","index":1,"arm":"main","pair":null,"config":{"learning_rate":2e-07,"batch_size":8},"seed":2,"steps":100,"declared_steps":100,"evaluate_every":10,"declaration":"","repeat":0}');
INSERT INTO sweep_runs VALUES('a','dcc925b63e7bef6e','main',2,'{"id":"a-02","sweep":"a","index":2,"arm":"main","pair":null,"config":{"learning_rate":2e-07,"batch_size":8},"seed":3,"steps":100,"declared_steps":100,"evaluate_every":10,"declaration":"","repeat":0}');
INSERT INTO sweep_runs VALUES('a','ae6183cc70fbf66a','null',0,'{"id":"a-00-null","sweep":"a","index":0,"arm":"null","pair":"a-00","config":{"learning_rate":2e-07,"batch_size":8},"seed":1,"steps":100,"declared_steps":100,"evaluate_every":10,"declaration":"","repeat":0}');
INSERT INTO sweep_runs VALUES('b','5afe9c7eb8c17024','main',0,'{"id":"b-00","sweep":"b","index":0,"arm":"main","pair":null,"config":{"learning_rate":2e-07,"batch_size":8},"seed":1,"steps":100,"declared_steps":100,"evaluate_every":10,"declaration":"","repeat":0}');
CREATE TABLE sweep_questions (
	sweep TEXT NOT NULL, 
	declaration TEXT NOT NULL, 
	question TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	registered_at TEXT NOT NULL, 
	PRIMARY KEY (sweep, declaration, question)
);
INSERT INTO sweep_questions VALUES('a','d1','plateau','0123','2026-11-25T11:00:00Z');
CREATE TABLE sweep_sessions (
	session TEXT NOT NULL, 
	host TEXT NOT NULL, 
	place TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	began DOUBLE NOT NULL, 
	heartbeat DOUBLE NOT NULL, 
	PRIMARY KEY (session)
);
CREATE TABLE sweep_takings (
	"key" TEXT NOT NULL, 
	session TEXT NOT NULL, 
	since DOUBLE NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE INDEX sweep_outcomes_by_item_labels ON sweep_outcomes (item_labels);
CREATE INDEX sweep_runs_by_key ON sweep_runs ("key");
COMMIT;
