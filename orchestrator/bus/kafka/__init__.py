"""The bus on Apache Kafka, by confluent-kafka."""
